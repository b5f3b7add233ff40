"""The console script's entry: `legato …` and `python -m legato …`. Nothing is imported before Ctrl-C is met."""

from __future__ import annotations

import sys


def main() -> None:
    """Runs the command line; an interruption while Python still imports is told in a line, like any other."""
    try:
        from legato import cli

        cli.main()
    except KeyboardInterrupt:
        print("legato: interrupted", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
