"""A process for each job, in a directory of its own."""
import os
import shutil
import subprocess
import time

from ground import CORES, Ground, size
from rows import Row

JOBS = size("PROCESSES", 2000)
SLOTS = size("SLOTS", CORES)


class Process(Row):
    name = "process"

    def begin(self):
        self.fleet = Ground()
        self.fleet.worker("--slots", SLOTS, *self.fleet.handlers("handlers: { run: { command: [/bin/true] } }\n"))
        self.jobs = self.fleet.fitting(JOBS, "run")
        self.names = "".join("d%d\n" % i for i in range(self.jobs)).encode()
        with open(os.path.join(self.fleet.dir, "Makefile"), "w", encoding="utf-8") as file:
            file.write("all: %s\nt%%:\n\t@/bin/true\n" % " ".join("t%d" % i for i in range(self.jobs)))

    def timed(self, command, directory):
        begin = time.monotonic()
        subprocess.run(command, check=True, cwd=directory, input=self.names, stdout=subprocess.DEVNULL)
        return self.jobs / (time.monotonic() - begin)

    def round(self):
        each = ["xargs", "-P", str(SLOTS), "-n", "1"]
        xargs = self.timed([*each, "/bin/true"], self.fleet.dir)
        rate = self.fleet.jobs_rate(self.jobs, "run")
        make = self.timed(["make", "-s", "-r", "-j", str(SLOTS), "all"], self.fleet.dir)
        directories = os.path.join(self.fleet.dir, "directories")
        os.mkdir(directories)
        shell = self.timed([*each, "sh", "-c", "mkdir $0 && cd $0 && exec /bin/true >stdout 2>stderr"], directories)
        shutil.rmtree(directories)
        at = ", %d at a time" % SLOTS
        self.figures.add("a process per job (/bin/true)" + at, "/s", rate, xargs, "xargs -P, no directories", (">=", 0.8))
        self.figures.add("the same, beside make", "/s", rate, make, "make -j, no directories")
        self.figures.add("the same, beside xargs with directories", "/s", rate, shell, "xargs -P: sh, mkdir, two files, exec")
