"""What would settle more: one command, and how long it takes."""

from __future__ import annotations

from dataclasses import dataclass

from scalesearch.analysis.answer.stand import verification_of
from scalesearch.analysis.result import BudgetResult, StudyResult
from scalesearch.scaling.units import duration

SEEDS, TOP, RATES = 5, 2, 3
"""What `scalesearch verify` does unasked (see `VerifyRequest`): new seeds, leaders, and learning rates where the study
measured its own."""
MOST_SEEDS = 100
"""Seeds that anybody trains to tell two networks apart."""


@dataclass(frozen=True, slots=True)
class NextStep:
    """A command that would settle more.

    Attributes:
        command: as it is typed.
        why: what it would show.
        trainings: about how many it makes.
        seconds: about how long they take on the places that the study had; None where no training was timed.
    """

    command: str
    why: str
    trainings: int
    seconds: float | None

    @property
    def told(self) -> str:
        """The command, its time and what it would show."""
        time = "" if self.seconds is None else f" (about {duration(self.seconds)})"
        return f"{self.command}{time}: {self.why}"


def next_step(result: StudyResult, budget: BudgetResult) -> NextStep | None:
    """What to run next; None where nothing would change the answer within reason."""
    name, config = result.manifest.study, result.manifest.config
    if not result.complete:
        left = max(1, result.manifest.most_trainings - result.trainings)
        return _step(result, f"scalesearch resume {name}", "the rest of the study", left)
    if budget.best is None or result.nothing:
        return None
    networks = len({s.network.number for s in (*budget.networks[:TOP], *(s for _, s in budget.references))}) + 1
    verification, checked = verification_of(budget), budget.proof.fidelity and budget.proof.fidelity.rate
    rates = RATES * max(2, config.seeds) * (networks - 1) if result.rates and not checked else 0
    command = f"scalesearch verify {name}{f' --budget {budget.facts.text}' if len(result.budgets) > 1 else ''}"
    if (verification is None or len(verification.seeds) < 2) and sum(s.ranked for s in budget.networks) > 1:
        why = "leaders, references and the baseline on new seeds"
        return _step(result, command, why, SEEDS * networks + rates)
    if verification and verification.seeds_for_half and verification.seeds_for_half <= MOST_SEEDS:
        seeds = verification.seeds_for_half
        why = "in one comparison sees differences half as large"
        left = max(0, seeds - len(verification.seeds)) * networks + rates
        return _step(result, f"{command} --seeds {seeds}", why, left)
    return None


def _step(result: StudyResult, command: str, why: str, trainings: int) -> NextStep:
    each = result.seconds / result.trainings if result.trainings else None
    at_once = max(1, result.manifest.workers)
    return NextStep(command, why, trainings, each and trainings * each / at_once)
