"""What a definition names: its images and its baseline, wherever they are trained."""

from __future__ import annotations

from dataclasses import dataclass, replace

from scalesearch.data import Dataset, load_dataset, shown
from scalesearch.environment.waiting import doing
from scalesearch.networks.base import Baseline, Task
from scalesearch.networks.native import Native, made_baseline, native_baseline
from scalesearch.study.config import StudyConfig
from scalesearch.study.manifest import CLASSES_KEPT, DataFacts, Manifest


@dataclass(frozen=True)
class Ingredients:
    """What a definition names: its images and its baseline, wherever they are trained.

    Attributes:
        from_images: whether the baseline's native resolution is the images' own.
    """

    dataset: Dataset
    baseline: Baseline
    task: Task
    from_images: bool = False


def ingredients(config: StudyConfig, made: Manifest | None = None, *, with_test: bool = False) -> Ingredients:
    """Load the data of a definition and find its baseline; the arguments are those of `prepare`.

    Raises:
        ScaleSearchError: unknown baseline or data.
    """
    with doing(f"loading the data {config.data}"):
        dataset = _loaded(config, made, with_test)
    native = _native(config, dataset.native_px, made)
    baseline = replace(native.baseline, rules=replace(native.baseline.rules, depth_rule=config.rounding))
    return Ingredients(dataset, baseline, Task(len(dataset.classes), dataset.channels), native.from_images)


def _loaded(config: StudyConfig, made: Manifest | None, with_test: bool) -> Dataset:
    """The data of a definition; `recipe` limits its images."""
    recipe = config.proxy
    return load_dataset(
        config.data,
        with_test=with_test,
        check_test=made is None,
        skip_bad=config.skip_bad,
        max_pixels=config.max_pixels or None,
        train_images=recipe.train_images or None,
        val_images=recipe.val_images or None,
        seed_split=config.seed_split,
    )


def _native(config: StudyConfig, images_px: int, made: Manifest | None) -> Native:
    """The baseline at the resolution that was asked for, or that the study has."""
    if made is None:
        return native_baseline(config.base, resolution_px=config.resolution, images_px=images_px)
    return Native(made_baseline(config.base, made.baseline_px, images_px), from_images=False)


def data_facts(dataset: Dataset) -> DataFacts:
    """What the manifest keeps of a dataset."""
    return DataFacts(
        spec=dataset.name,
        classes=len(dataset.classes),
        channels=dataset.channels,
        native_px=dataset.native_px,
        train_images=len(dataset.train),
        val_images=len(dataset.val),
        fingerprint=dataset.fingerprint,
        notes=dataset.notes,
        class_names=tuple(shown(name) for name in dataset.classes[:CLASSES_KEPT]),
        splits=dataset.splits,
        majority_share=dataset.majority_share,
        chance_loss=dataset.chance_loss,
        warnings=dataset.warnings,
        sides=dataset.sides,
        earlier_fingerprint=dataset.earlier_fingerprint,
    )
