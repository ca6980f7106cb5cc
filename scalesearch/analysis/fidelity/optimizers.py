"""Which optimizer a study trains by, where its definition leaves that and the learning rate open.

The layers say one (`networks.suited`). Where that is SGD and the baseline learns at no rate by it, AdamW is tried too,
on its own grid of rates, and taken where its best accuracy is above SGD's best by more than chance makes of so many
images. Where both learn, short trainings do not tell: they flatter AdamW by several points over what whole trainings
of a proxy give (see benchmarks/optimizers.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scalesearch.analysis.fidelity.chance import Chance, luck
from scalesearch.analysis.fidelity.rate_grid import Role, Tried, best_step, next_steps, rate_at

RIVALS: Mapping[str, str] = {"sgd": "adamw"}
"""Optimizer that the layers say -> the one that is tried where that learns nothing. Networks for which they say AdamW
were never more than chance better by SGD (see benchmarks/strangers_trained.md)."""


@dataclass(frozen=True, slots=True)
class Contest:
    """The optimizers of a range test.

    Attributes:
        by_layers: what the layers or the definition say.
        rival: what is tried where that learns nothing; empty for nothing.
    """

    by_layers: str
    rival: str = ""

    @property
    def optimizers(self) -> tuple[str, ...]:
        """Both, or the one."""
        return (self.by_layers, self.rival) if self.rival else (self.by_layers,)

    def mark(self, optimizer: str) -> str:
        """What the stages of an optimizer are marked with in the database: those of `by_layers` have no mark."""
        return "" if optimizer == self.by_layers else optimizer


@dataclass(frozen=True, slots=True)
class OptimizerChoice:
    """What the baseline's short trainings settled of two optimizers.

    Attributes:
        tried: the baseline's short trainings, optimizer by optimizer.
        chosen: one of the two.
        learned: whether the rival's best is clearly better than guessing.
    """

    contest: Contest
    tried: Mapping[str, tuple[Tried, ...]]
    chosen: str
    learned: bool = True

    @property
    def words(self) -> str:
        """Both optimizers' best, and what was taken.

        Example:
            >>> tried = {"sgd": (Tried("baseline", 1, 0.331),), "adamw": (Tried("baseline", 1, 0.369),)}
            >>> OptimizerChoice(Contest("sgd", "adamw"), tried, "adamw").words
            'sgd 33.1 at 0.2, adamw 36.9 at 0.0063: adamw'
        """
        told = ", ".join(_told(name, self.tried[name]) for name in self.contest.optimizers)
        return f"{told}: {self.chosen}{self._why}"

    @property
    def _why(self) -> str:
        """Why a rival that looks better was not taken."""
        rival = self.contest.rival
        own, other = (highest(self.tried[name]) for name in self.contest.optimizers)
        if self.chosen == rival or other is None or (own is not None and other <= own):
            return ""
        if broke := _broke(self.tried[rival]):
            return f", because {rival} {broke} at some rate"
        return (
            ", because chance makes such a difference"
            if self.learned
            else f", because {rival} is hardly better than guessing"
        )

    def to_dict(self) -> dict[str, Any]:
        """`learning_rate.optimizers` in `result.json`."""
        best = {name: best_step(self.tried[name]) for name in self.contest.optimizers}
        return {
            "by_layers": self.contest.by_layers,
            "chosen": self.chosen,
            "best": {
                name: None if step is None else {"rate": rate_at(name, step), "accuracy": highest(self.tried[name])}
                for name, step in best.items()
            },
            "words": self.words,
        }


def _told(optimizer: str, tried: Sequence[Tried]) -> str:
    step, accuracy = best_step(tried), highest(tried)
    if step is None or accuracy is None:
        return f"{optimizer} {_broke(tried) or 'learned at no rate'}"
    return f"{optimizer} {100 * accuracy:.1f} at {rate_at(optimizer, step):g}"


def _broke(tried: Iterable[Tried]) -> str:
    """Why one of them did not come to its end; empty where all did."""
    return next((t.broke for t in tried if t.broke), "")


def highest(tried: Iterable[Tried]) -> float | None:
    """The highest accuracy, 0 to 1; None where none learned."""
    return max((t.accuracy for t in tried if t.accuracy is not None), default=None)


def chosen_optimizer(contest: Contest, tried: Mapping[str, Sequence[Tried]], chance: Chance) -> OptimizerChoice | None:
    """What the baseline's short trainings say of the optimizers; None where only one was tried.

    What the layers say holds where the rival broke off at some rate, or is not clearly better than guessing.

    Args:
        tried: every short training, optimizer by optimizer.
        chance: what guessing gives on the images that the accuracies are of.
    """
    if not contest.rival or not tried[contest.rival]:
        return None
    rows = {name: tuple(t for t in tried[name] if t.role == "baseline") for name in contest.optimizers}
    own, other = (highest(rows[name]) for name in contest.optimizers)
    learned = other is not None and chance.clearly_above(other)
    fits = not _broke(rows[contest.rival])
    above = other is not None and (own is None or other - own > luck(other, chance.images))
    chosen = contest.rival if learned and fits and above else contest.by_layers
    return OptimizerChoice(contest, rows, chosen, learned)


def _another_wanted(contest: Contest, tried: Mapping[str, Sequence[Tried]], chance: Chance) -> bool:
    """Whether the baseline learned nothing by what the layers say, or the rival's trainings were begun."""
    if not contest.rival or tried[contest.rival]:
        return bool(contest.rival)
    best = highest(t for t in tried[contest.by_layers] if t.role == "baseline")
    return best is None or not chance.clearly_above(best)


def next_trainings(
    contest: Contest, tried: Mapping[str, Sequence[Tried]], roles: Sequence[Role], chance: Chance
) -> list[tuple[str, Role, int]]:
    """What to try next: optimizer, network, step; nothing when all is settled.

    The baseline first, by the rival too where it learned nothing, then the corners by the one that was chosen.
    """
    own: list[Role] = ["baseline"]
    for name in contest.optimizers:
        if first := [(name, role, step) for role, step in next_steps(tried[name], own)]:
            return first
        if not _another_wanted(contest, tried, chance):
            break
    choice = chosen_optimizer(contest, tried, chance)
    chosen = choice.chosen if choice else contest.by_layers
    return [(chosen, role, step) for role, step in next_steps(tried[chosen], roles)]
