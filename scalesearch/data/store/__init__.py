"""The pixel store: photographs decoded once, at one side, and read by every worker of every later study.

A store holds one split of image files as bytes `[N, S, S, C]` in one file. It is read by position, not mapped: a file
that is cut short is then an error and not a signal, no address space is taken, and the system's page cache is the one
copy that all processes share.
"""

from __future__ import annotations

from scalesearch.data.store.facts import BLOCK, CROPPED, StoreFacts, block_order, row_order, stored_side
from scalesearch.data.store.make import Watch
from scalesearch.data.store.shelf import Shelf
from scalesearch.data.store.stored import StoredImages

__all__ = [
    "BLOCK",
    "CROPPED",
    "Shelf",
    "StoreFacts",
    "StoredImages",
    "Watch",
    "block_order",
    "row_order",
    "stored_side",
]
