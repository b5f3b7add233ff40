"""The console script's entry: `legato …` and `python -m legato …`. Nothing is imported before Ctrl-C is met."""

from __future__ import annotations

import os
import sys

from legato import terminal


def main() -> None:
    """Runs the command line; an interruption while Python still imports is told in a line, like any other."""
    try:
        terminal.prepare()
        # Read when torch is imported, so that it cannot wait for `--device mps`: what torch lacks on Apple's GPU the CPU does.
        os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")
        from legato import cli

        cli.main()
    except KeyboardInterrupt as interruption:
        print("legato: interrupted", file=sys.stderr)
        sys.exit(128 + terminal.signal_of(interruption))


if __name__ == "__main__":
    main()
