"""Systems to be timed, for tests of `benchmarks/measuring.py`."""

import time


def big():
    """Holds 100 MB."""
    held = bytearray(b"x") * (100 << 20)
    return _work("big", held)


def small():
    """Holds nothing."""
    return _work("small", b"")


def broken():
    """Cannot get ready."""
    raise SystemExit(1)


def _work(name, held):
    count = 0

    def work():
        nonlocal count
        count += 1
        time.sleep(0.06)
        return f"{name} {count}"[: 100 + len(held)]

    return work
