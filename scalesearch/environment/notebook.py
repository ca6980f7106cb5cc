"""What a notebook's kernel hands on to the commands of its cells, and what it warns of that is no matter here."""

from __future__ import annotations

import importlib
import os
import warnings

with warnings.catch_warnings():  # it asks for widgets in a kernel without them, and no bar of it is shown here
    warnings.filterwarnings("ignore", message="IProgress not found")
    importlib.import_module("tqdm.auto")


def in_notebook() -> bool:
    """Whether this process was started by a notebook's kernel, as by a cell that begins with an exclamation mark.

    Such a cell looks like a terminal and shows every frame of a live view below the one before.

    Source: `jupyter_client.launcher` sets JPY_PARENT_PID for the kernel that it starts.
    """
    return "JPY_PARENT_PID" in os.environ
