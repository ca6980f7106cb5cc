"""Where modules are looked for. Loads nothing itself that a file in the current folder could hide."""

import os
import sys


def libraries_first() -> None:
    """Let files of the current folder hide no library: ``python -m`` looks there before Python's own modules.

    The folder goes to the end of the path; where it holds scalesearch itself, behind Python's own modules.
    """
    try:
        here = os.path.realpath(os.getcwd())  # noqa: PTH109 (pathlib would load modules that may be hidden)
    except OSError:
        return
    own = [entry for entry in sys.path if os.path.realpath(entry) == here]
    sys.path[:] = [entry for entry in sys.path if entry not in own]
    if own:
        package = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))  # noqa: PTH120
        holds_this = os.path.dirname(package) == here  # noqa: PTH120
        sys.path.insert(behind_python() if holds_this else len(sys.path), here)


def behind_python() -> int:
    """Where in `sys.path` installed libraries begin."""
    return next(
        (i for i, entry in enumerate(sys.path) if entry.endswith(("site-packages", "dist-packages"))), len(sys.path)
    )
