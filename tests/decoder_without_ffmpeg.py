"""The decoder's process on a machine without PyAV."""

import sys

from emojudge import decoding

if __name__ == "__main__":
    sys.modules["av"] = None
    decoding.main(*sys.argv[1:])
