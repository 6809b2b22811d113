"""The way in, for the command `ptp` and for `python -m ptp`; here, so that Ctrl-C while modules load is told too."""

from __future__ import annotations

import sys
from typing import NoReturn

from ptp.errors import EXIT_INTERRUPTED


def main() -> NoReturn:
    """Load the command line and run it."""
    try:
        from ptp.cli import main as run
    except KeyboardInterrupt:
        sys.stderr.write("ptp: interrupted; nothing was begun.\n")
        sys.exit(EXIT_INTERRUPTED)
    run()


if __name__ == "__main__":
    main()
