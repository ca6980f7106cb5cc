"""What is said of a recipe before anything is trained by it: values, where they are from, what a training costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from scalesearch.analysis.answer.answer import answer
from scalesearch.analysis.found import best_of, chosen_budget
from scalesearch.analysis.result import StudyResult
from scalesearch.scaling.units import plural
from scalesearch.study.config import ProxyRecipe
from scalesearch.study.manifest import Manifest
from scalesearch.training.full.of_study import STUDY, TIMES_LONGER, study_recipe
from scalesearch.training.full.planned import Planned
from scalesearch.training.full.recipe import TrainRecipe, recipes
from scalesearch.training.full.request import TrainRequest
from scalesearch.training.full.schedule import peak_rate


@dataclass(frozen=True)
class Said:
    """What is told of a recipe: lines of the plan, and notes on what speaks against it."""

    lines: tuple[str, ...]
    notes: tuple[str, ...]

    def after(self, note: str) -> Said:
        """The same with a note before all others; an empty one changes nothing."""
        return replace(self, notes=(note, *self.notes)) if note else self


def said_of(
    ask: TrainRequest, manifest: Manifest, found: ProxyRecipe, planned: Sequence[Planned], train_images: int
) -> Said:
    """Everything that is told before the first training.

    Args:
        found: by which the study trained the network that it found.
        planned: the networks, each with its own recipe.
        train_images: of the full training.
    """
    rates = differing_rates([(one.label, one.recipe) for one in planned])
    return Said((*recipe_lines(ask, manifest, found, train_images), *rates), recipe_notes(ask, manifest.config.base))


def not_taken(result: StudyResult, ask: TrainRequest) -> str:
    """That the network at phi 1 is not what the answer takes, and what it takes; empty where it is."""
    if 1.0 not in ask.phis:
        return ""
    own = chosen_budget(result, ask.budget)
    found, first = answer(result, own), best_of(result, own).network.number
    if found.network is not None and found.network.network.number == first:
        return ""
    also = " (--against uniform,baseline trains those too)" if found.network else ""
    return f"phi 1 is network {first}, first in the search and not what the answer takes{also}: {found.todo}"


def recipe_lines(ask: TrainRequest, manifest: Manifest, found: ProxyRecipe, train_images: int) -> tuple[str, ...]:
    """The recipe for people, one line a thing.

    Args:
        found: by which the study trained the network that it found.
        train_images: of the full training.
    """
    recipe = ask.recipe
    lines = [
        f"recipe{f' {ask.source}' if ask.source else ''}: {optimizer_words(recipe)}{_from(ask, manifest.study, found)}",
        f"at most {plural(recipe.epochs, 'epoch')}, batches of {recipe.batch_size}, "
        f"{'cosine' if recipe.schedule == 'cosine' else 'steps'}, {augmentation_words(recipe)}",
    ]
    if ask.source == STUDY:
        lines.append(_length_words(recipe, manifest, train_images))
    return tuple(lines)


def optimizer_words(recipe: TrainRecipe) -> str:
    """Optimizer and rate.

    Example:
        >>> optimizer_words(TrainRecipe(optimizer="adamw", learning_rate=0.005, batch_size=50, reference_batch=50))
        'adamw, learning rate 0.005'
    """
    name = {"rmsprop_torch": "rmsprop"}.get(recipe.optimizer, recipe.optimizer)
    return f"{name}, learning rate {peak_rate(recipe):g}"


def augmentation_words(recipe: TrainRecipe) -> str:
    """What is done to images.

    Example:
        >>> augmentation_words(TrainRecipe(geometry="flip"))
        'images: flip, autoaugment'
        >>> augmentation_words(TrainRecipe(geometry="none", policy="none"))
        'images as they are'
    """
    done = [name for name in (recipe.geometry, recipe.policy) if name != "none"]
    return f"images: {', '.join(done)}" if done else "images as they are"


def _from(ask: TrainRequest, study: str, found: ProxyRecipe) -> str:
    """Where optimizer and rate are from."""
    if ask.source != STUDY:
        return ""
    own = study_recipe(found)
    if peak_rate(own) == peak_rate(ask.recipe):
        return f", as in study {study}"
    return f"; study {study} had {peak_rate(own):g} for batches of {own.batch_size}"


def _length_words(recipe: TrainRecipe, manifest: Manifest, train_images: int) -> str:
    proxy = manifest.config.proxy
    times = images_times(recipe, proxy, train_images, manifest.data.train_images)
    longer = recipe.epochs / proxy.epochs
    said = f"{longer:g} times the study's {plural(proxy.epochs, 'epoch')}"
    seen = f"one training sees {times:.3g} times their images"
    if recipe.epochs != TIMES_LONGER * proxy.epochs:  # it was asked for
        return f"{said}; {seen}"
    short = "which rank networks and are too short to be a last word"
    return f"{said}, {short}; {seen}; another length: --epochs"


def images_times(recipe: TrainRecipe, proxy: ProxyRecipe, train_images: int, proxy_images: int) -> float:
    """Images that a full training sees for each of a proxy's: what it costs, in proxies of the same network.

    Example:
        >>> images_times(TrainRecipe(epochs=20), ProxyRecipe(epochs=2), 40_000, 8_000)
        50.0
    """
    return recipe.epochs * train_images / (proxy.epochs * proxy_images)


def recipe_notes(ask: TrainRequest, base: str) -> tuple[str, ...]:
    """What speaks against a recipe on this baseline."""
    if ask.source not in recipes() or "efficientnet" in base.lower():
        return ()
    return (
        f"recipe {ask.source} was made for EfficientNets, and {base} is none: its learning rate was never tried on "
        f"such a network; the study's own: --recipe {STUDY}",
    )


def differing_rates(recipes_used: Sequence[tuple[str, TrainRecipe]]) -> tuple[str, ...]:
    """A line with each network's rate, where they differ.

    Example:
        >>> one, two = (TrainRecipe(learning_rate=rate, reference_batch=256) for rate in (0.1, 0.05))
        >>> differing_rates([("phi 1", one), ("depth", two)]), differing_rates([("phi 1", one)])
        (('learning rates of the study: phi 1 0.1, depth 0.05',), ())
    """
    if len({recipe.learning_rate for _, recipe in recipes_used}) < 2:
        return ()
    rates = (f"{label} {peak_rate(recipe):g}" for label, recipe in recipes_used)
    return (f"learning rates of the study: {', '.join(rates)}",)
