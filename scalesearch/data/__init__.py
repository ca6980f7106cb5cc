"""Images in memory from the embedded default, library datasets, folders, npz files and functions.

`scalesearch.data.device` puts a split on a torch device; it is not imported here, so that this import stays cheap.
"""

from __future__ import annotations

from scalesearch.data.images import Dataset, ImageSet, shown
from scalesearch.data.load import DATASETS, absolute_spec, load_dataset
from scalesearch.data.splits import stratified

__all__ = ["DATASETS", "Dataset", "ImageSet", "absolute_spec", "load_dataset", "shown", "stratified"]
