"""Whether the unscaled network trains: a few real steps by the very code that a study trains with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch

from scalesearch.analysis.fidelity.rate_grid import CENTRES
from scalesearch.data.images import ArrayImages, Dataset
from scalesearch.errors import BaseError
from scalesearch.networks.base import Baseline, Task
from scalesearch.networks.suited import suited_optimizer
from scalesearch.search.check_base.found import Finding
from scalesearch.study.config import ProxyRecipe
from scalesearch.training.workers.inside import ProxyWorker, WorkerSetup

BATCH, STEPS, EPOCHS = 8, 2, 2
"""Images a step, steps an epoch, epochs: what an evaluation leaves in a network shows in the epoch after it."""
VAL_IMAGES = 2 * BATCH + 3
"""More than a training batch, as in a study: a network may keep something of the largest batch that it has seen."""


def training_findings(baseline: Baseline, task: Task, recipe: ProxyRecipe, device: str = "auto") -> Iterator[Finding]:
    """Two epochs on random images, each with its evaluation, under a study's recipe but for sizes.

    Args:
        recipe: whose optimizer, average, augmentation and rates are taken.
        device: as a study takes it.
    """
    optimizer = suited_optimizer(baseline, task) if recipe.optimizer == "auto" else recipe.optimizer
    rate = recipe.learning_rate or CENTRES[optimizer]
    short = replace(recipe, epochs=EPOCHS, batch_size=BATCH, train_images=0, val_images=0)
    short = replace(short, optimizer=optimizer, learning_rate=rate)
    setup = WorkerSetup(baseline, task, _random_images(task, baseline.spec.resolution_px), short, device, threads=0)
    try:
        with torch.random.fork_rng():
            outcome = ProxyWorker(setup).train(baseline.spec, 0)
    except BaseError as error:
        yield Finding("problem", "training", str(error).partition(" (look closer with")[0])
        return
    done = f"{EPOCHS * STEPS} steps in {EPOCHS} epochs, with an evaluation after each"
    if outcome.status == "complete":
        yield Finding("ok", "training", f"trains as run trains it: {done}")
    else:
        text = f"{outcome.note}, on random images, by {optimizer} at a learning rate of {rate:g}"
        yield Finding("warning", "training", text + _about(recipe.learning_rate))


def _about(rate: float) -> str:
    """Whose the learning rate is at which a network did not train, and what can be done about one that is asked for."""
    if not rate:
        return ": a usual one; run measures its own before the search, and takes a lower one where this is too high"
    return f", as the definition asks for; what helps: run --lr auto, which measures one, or --lr {rate / 10:.2g}"


def _random_images(task: Task, px: int) -> Dataset:
    draw = np.random.default_rng(0)

    def split(images: int) -> ArrayImages:
        pixels = draw.integers(0, 256, (images, task.in_channels, px, px), dtype=np.uint8)
        return ArrayImages(pixels, draw.integers(task.num_classes, size=images))

    classes = tuple(map(str, range(task.num_classes)))
    train, val = split(STEPS * BATCH), split(VAL_IMAGES)
    return Dataset("random images", classes, task.in_channels, px, train, val, None, "", ())
