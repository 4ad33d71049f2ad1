"""A process for each job, in a directory of its own: the directories in memory, and where the machine's temporary files are."""
import os
import subprocess
import time

from ground import CORES, MEMORY, Ground, size
from rows import Row

JOBS = size("PROCESSES", 2000)
SLOTS = size("SLOTS", CORES)
EACH = ["xargs", "-P", str(SLOTS), "-n", "1"]


def processes(where):
    fleet = Ground(where=where)
    fleet.worker("--slots", SLOTS, *fleet.handlers("handlers: { run: { command: [/bin/true] } }\n"))
    return fleet


class Process(Row):
    """No file is deleted before the row ends: some file systems look for a place for a new one among those that were deleted lately."""
    name = "process"

    def begin(self):
        self.fleet, self.on_disk = processes(MEMORY), processes(None)
        self.jobs = min(self.fleet.fitting(JOBS, "run"), self.on_disk.fitting(JOBS, "run"))
        self.names = "".join("d%d\n" % i for i in range(self.jobs)).encode()
        with open(os.path.join(self.fleet.dir, "Makefile"), "w", encoding="utf-8") as file:
            file.write("all: %s\nt%%:\n\t@/bin/true\n" % " ".join("t%d" % i for i in range(self.jobs)))
        self.rounds_done = 0

    def end(self):
        self.on_disk.close()
        super().end()

    def timed(self, command, directory):
        begin = time.monotonic()
        subprocess.run(command, check=True, cwd=directory, input=self.names, stdout=subprocess.DEVNULL)
        return self.jobs / (time.monotonic() - begin)

    def with_directories(self, fleet):
        directory = os.path.join(fleet.dir, "directories-%d" % self.rounds_done)
        os.mkdir(directory)
        return self.timed([*EACH, "sh", "-c", "mkdir $0 && cd $0 && exec /bin/true >stdout 2>stderr"], directory)

    def round(self):
        add = self.figures.add
        xargs = self.timed([*EACH, "/bin/true"], self.fleet.dir)
        rate = self.fleet.jobs_rate(self.jobs, "run")
        make = self.timed(["make", "-s", "-r", "-j", str(SLOTS), "all"], self.fleet.dir)
        add("a process per job (/bin/true), %d at a time, directories in memory" % SLOTS, "/s", rate, xargs, "xargs -P, no directories", (">=", 0.8))
        add("the same, beside make", "/s", rate, make, "make -j, no directories")
        add("the same, beside xargs with directories", "/s", rate, self.with_directories(self.fleet), "xargs -P: sh, mkdir, two files, exec")
        xargs = self.timed([*EACH, "/bin/true"], self.fleet.dir)
        rate = self.on_disk.jobs_rate(self.jobs, "run")
        add("the same, directories on the disk", "/s", rate, xargs, "xargs -P, no directories", (">=", 0.8))
        add("the same, on the disk, beside xargs with directories there", "/s", rate, self.with_directories(self.on_disk),
            "xargs -P: sh, mkdir, two files, exec")
        self.rounds_done += 1
