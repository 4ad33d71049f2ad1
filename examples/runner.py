#!/usr/bin/python3
"""A runner in Python: jobs come as frames on standard input, answers go to standard output.

    handlers:
      score: { runner: ["python3", "runner.py"], processes: 2 }

The protocol is docs/runner-protocol.md. Needs msgpack (Debian: python3-msgpack). Put your work into `handle`.
"""
import os
import select
import struct
import sys

import msgpack


class BadArgument(Exception):
    """The input is wrong: another attempt would fail as well."""


class Runner:
    def __init__(self):
        # What a job prints must not come between the frames: it goes to standard error, the job's output.
        self.input = os.fdopen(os.dup(0), "rb", buffering=0)
        self.output = os.fdopen(os.dup(1), "wb", buffering=0)
        os.dup2(2, 1)
        self.job = None

    def read(self):
        """The next message, or None when the worker has gone."""
        head = self._read_full(4)
        if head is None:
            return None
        body = self._read_full(struct.unpack(">I", head)[0])
        return None if body is None else msgpack.unpackb(body)

    def _read_full(self, length):
        data = b""
        while len(data) < length:
            more = self.input.read(length - len(data))
            if not more:
                return None
            data += more
        return data

    def send(self, **message):
        body = memoryview(msgpack.packb(message))
        frame = memoryview(struct.pack(">I", len(body)) + bytes(body))
        while frame:
            frame = frame[self.output.write(frame):]

    def progress(self, text):
        self.send(type="progress", seq=self.job["seq"], text=text)

    def stopping(self):
        """Whether the worker wants the job to end. Ask now and then in long work."""
        while select.select([self.input], [], [], 0)[0]:
            message = self.read()
            if message is None or message.get("seq") == self.job["seq"]:
                return True
        return False

    def serve(self, handle):
        self.send(type="hello", version=1)
        while (message := self.read()) is not None:
            if message["type"] != "job":
                continue
            self.job = message
            try:
                answer = {"type": "result", "result": handle(self, message)}
            except BadArgument as error:
                answer = {"type": "error", "message": str(error), "bad_argument": True}
            except Exception as error:
                answer = {"type": "error", "message": f"{type(error).__name__}: {error}"}
            sys.stdout.flush()
            sys.stderr.flush()
            self.send(seq=message["seq"], **answer)


def handle(runner, job):
    """Adds numbers."""
    numbers = job["args"]
    if not isinstance(numbers, list):
        raise BadArgument("args must be a list of numbers")
    total = 0
    for done, number in enumerate(numbers):
        if runner.stopping():
            raise RuntimeError("asked to stop")
        total += number
        runner.progress(f"{done + 1} of {len(numbers)}")
    print("added", len(numbers), "numbers")
    return {"sum": total}


if __name__ == "__main__":
    Runner().serve(handle)
