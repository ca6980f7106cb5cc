"""The pixel store of a study: at which side its photographs are decoded once, and the splits that read it."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import numpy as np

from scalesearch.data import Dataset
from scalesearch.data.decode import LANCZOS
from scalesearch.data.device import fits
from scalesearch.data.files import FileImages
from scalesearch.data.store import Shelf, stored_side
from scalesearch.environment.memory import free_bytes, memory_facts
from scalesearch.search.prepare import Prepared
from scalesearch.study.config.recipe import cropped
from scalesearch.study.manifest import Manifest, PixelFacts
from scalesearch.training.batches import EVAL_BATCH
from scalesearch.training.pixels import stored
from scalesearch.training.steps import EVALUATED
from scalesearch.training.watch import Listener
from scalesearch.training.workers.inside import TIMED_STEPS

IN_MEMORY = 0.6
"""Part of the free memory that the images of a study may take; more are read block by block."""

SAMPLE = 64
"""Images that are decoded to tell how long all will take."""


def largest_px(prepared: Prepared) -> int:
    """The largest images that any network of the study's budgets takes."""
    spaces = prepared.budgets
    planned = [space.candidate(proposal.shares).spec for space in spaces for proposal in space.known]
    specs = [prepared.baseline.spec, *planned, *(key for space in spaces for key in space.networks)]
    return max(spec.resolution_px for spec in specs)


def pixel_facts(prepared: Prepared, resampling: str = LANCZOS) -> PixelFacts:
    """How a new study reads its images; images in memory need no store."""
    data = prepared.dataset
    if not isinstance(data.train, FileImages):
        return PixelFacts()
    side = stored_side(largest_px(prepared), cropped(prepared.recipe.augmentation), resampling)
    needed = (len(data.train) + len(data.val)) * data.channels * side * side
    free = free_bytes(memory_facts())
    return PixelFacts(side, by_blocks=free is not None and needed > IN_MEMORY * free, resampling=resampling)


def with_store(prepared: Prepared, pixels: PixelFacts, listener: Listener) -> Prepared:
    """The same with images that are read from a store, which is made where it is not there.

    Studies from before there was one decode at every resolution, as they began.

    Raises:
        StorageError: the store cannot be written.
        DataError: a file vanished or changed since it was checked.
    """
    return replace(prepared, dataset=stored(prepared.dataset, pixels, listener)) if pixels.side else prepared


def reads(manifest: Manifest, free: int | None = None) -> str:
    """How a study reads its photographs, in words; empty where its images are in memory.

    Args:
        free: bytes of the device that trains, where it is an accelerator with a memory of its own.
    """
    pixels, data = manifest.pixels, manifest.data
    if not pixels.side:
        return ""
    each = data.channels * pixels.side**2
    size = (data.train_images + data.val_images) * each
    how = "more than memory holds: read block by block" if pixels.by_blocks else "one copy in memory for all workers"
    if free is not None and fits(data.train_images * each, free):
        how = "held on the device"
    elif free is not None:
        how += ", read while the device works"
    return f"decoded once to {pixels.side} px ({size / 1e6:,.0f} MB, {how}), in {Shelf().folder}"


def sampled(prepared: Prepared) -> tuple[Prepared, float]:
    """The same with as many photographs as a measurement of time needs, and how many times longer a training takes.

    For a plan that decodes nothing to the disk.
    """
    data, batch = prepared.dataset, prepared.recipe.batch_size
    if not isinstance(data.train, FileImages):
        return prepared, 1.0
    train, val = (
        images.subset(np.arange(0, len(images), math.ceil(len(images) / most)))
        for images, most in ((data.train, TIMED_STEPS * batch), (data.val, EVAL_BATCH))
    )
    whole, part = (len(t) + EVALUATED * len(v) for t, v in ((data.train, data.val), (train, val)))
    return replace(prepared, dataset=replace(data, train=train, val=val, test=None)), whole / part


def decoding_seconds(dataset: Dataset, pixels: PixelFacts) -> float:
    """How long making the stores that are not there will take, from decoding a few images."""
    shelf, left, measured = Shelf(), 0, 0.0
    for images in (dataset.train, dataset.val):
        if isinstance(images, FileImages) and not shelf.has(images, pixels.side, pixels.resampling):
            few = images.subset(np.arange(0, len(images), math.ceil(len(images) / SAMPLE)))
            started = time.perf_counter()
            few.at(pixels.side, pixels.resampling)
            measured, left = (time.perf_counter() - started) / len(few), left + len(images)
    return measured * left
