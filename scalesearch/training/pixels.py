"""The splits of a dataset as trainings read them: photographs from their stores, which are made where they are not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from scalesearch.data import Dataset, ImageSet
from scalesearch.data.files import FileImages
from scalesearch.data.store import Shelf, StoredImages, stored_side
from scalesearch.study.config.recipe import cropped
from scalesearch.study.manifest import PixelFacts
from scalesearch.training.watch import Listener


def stored(dataset: Dataset, pixels: PixelFacts, listener: Listener) -> Dataset:
    """A dataset whose splits of files are read from stores; the others stay."""
    shelf = Shelf()
    missing = [
        images
        for images in (dataset.train, dataset.val, dataset.test)
        if isinstance(images, FileImages) and not shelf.has(images, pixels.side, pixels.resampling)
    ]
    if missing:
        total = sum(len(images) for images in missing)
        size = total * dataset.channels * pixels.side**2
        listener.note(
            f"decoding {total:,} images once, to {pixels.side} px ({size / 1e6:,.0f} MB in {shelf.folder}); later "
            "studies of them begin at once"
        )

    def kept(images: ImageSet, split: str) -> ImageSet:
        if not isinstance(images, FileImages):
            return images
        source = f"{dataset.name} ({split})"
        return shelf.stored(images, pixels.side, source, listener.decoding, pixels.by_blocks, pixels.resampling)

    train, val = kept(dataset.train, "training"), kept(dataset.val, "validation")
    test = kept(dataset.test, "test") if dataset.test is not None else None
    return replace(dataset, train=train, val=val, test=test)


def store_files(dataset: Dataset) -> tuple[Path, ...]:
    """The stores that a dataset is read from: whoever trains must see them."""
    splits = (dataset.train, dataset.val, dataset.test)
    return tuple(images.file.path for images in splits if isinstance(images, StoredImages))


def larger(pixels: PixelFacts, px: int, augmentation: str) -> PixelFacts:
    """The same for networks of up to `px` that the study did not have."""
    if not pixels.side:
        return pixels
    return replace(pixels, side=max(pixels.side, stored_side(px, cropped(augmentation), pixels.resampling)))
