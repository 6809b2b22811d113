"""The way in for `python -m ptp.cli`."""

from ptp.cli import main

if __name__ == "__main__":
    main()
