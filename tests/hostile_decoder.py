"""A decoder's process that does harm, in the place of `emojudge.decoding`: how is the first word of the recording's name."""

import ctypes
import json
import os
import sys
import time
from pathlib import Path

import numpy as np

from emojudge import decoding


def say(line):
    sys.stdout.write(line)
    sys.stdout.flush()


def crash():
    ctypes.string_at(0)


def stop():
    sys.exit(3)


def silent():
    time.sleep(60)


def spin():
    while True:
        pass


def eat():
    held = np.ones(300 << 20)  # 2.4 GB, and not even one was allowed
    say(json.dumps({"samples": held.size}))


def halfway():
    say('{"samples": 4}\n1234')


def chatter():
    say("no line of JSON " * 10_000)


def huge():
    say('{"samples": 1000000000}\n')


def endless():
    while True:
        say('{"samples": 1024}\n' + "\0" * 4096)


def unfinite():
    sys.stdout.buffer.write(b'{"samples": 1}\n' + np.float32("nan").tobytes())
    sys.stdout.flush()


def screen():
    say(json.dumps({"error": "clear\x1b[2J the\nscreen"}) + "\n")


def keys():
    say(json.dumps({"error": json.dumps(dict(os.environ))}) + "\n")


def writes():
    try:
        Path(sys.argv[1]).with_suffix(".taken").write_text("more than nothing")
    except OSError as error:
        say(json.dumps({"error": type(error).__name__}) + "\n")


def opens():
    try:
        held = [Path("/dev/null").open() for _ in range(16)]  # noqa: SIM115
        say(json.dumps({"error": str(held)}) + "\n")
    except OSError as error:
        say(json.dumps({"error": os.strerror(error.errno)}) + "\n")


if __name__ == "__main__":
    limits = json.loads(sys.argv[3])
    decoding._confine(limits["processor"], limits["memory"])
    globals()[Path(sys.argv[1]).stem]()
