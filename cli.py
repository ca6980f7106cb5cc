"""Launcher for a checkout: `python cli.py` is the command `scalesearch`."""

from scalesearch.__main__ import main

if __name__ == "__main__":
    main()
