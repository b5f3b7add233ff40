"""A file that is cut short while it is mapped: the kernel then ends the process by SIGBUS; here with a line that says so.

For the `legato` command alone: in a person's own program signals are theirs. Not covered: telling which file it was.
"""

from __future__ import annotations

import ctypes
import os
import signal

LINE = (
    "legato: data were cut short on disk while they were read: bring them back (prepared data are made again by themselves), "
    "and give the command again, or --resume\n"
)


def hear() -> None:
    """Makes SIGBUS end the process, from now on, with the line and exit code 2."""
    if os.name == "posix":
        ctypes.CDLL(None).signal(signal.SIGBUS, _TELL)


# A handler of Python's own would wait for the next line of Python, and the read that failed would be tried for ever. This one
# runs at once: the thread that reads may hold the interpreter's lock already, and nothing goes on after it.
def _tell(number: int) -> None:
    os.write(2, LINE.encode())  # no buffer and no lock, which the interrupted thread may hold
    os._exit(2)


_TELL = ctypes.CFUNCTYPE(None, ctypes.c_int)(_tell)  # kept here: the kernel's is no reference that Python counts
