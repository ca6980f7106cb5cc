"""One row of evidence.

`TrialRecord` is one training (or one network that was refused, or failed) with everything needed to read it alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import Field

from scalesearch.networks.spec import Excess, NetworkSpec, Range
from scalesearch.scaling.coefficients import Coefficients, Shares
from scalesearch.study.plain import InARow, Number

Status = Literal["complete", "failed", "stopped", "off_budget", "infeasible"]

OUT_OF_MEMORY: Final = "out of memory"
ERROR: Final = "error"
TIMEOUT: Final = "timeout"
KILLED: Final = "killed"
"""How the note of a training begins that failed for want of memory, by its network's own code, by taking too long, or
because its process was taken away again and again."""

Cause = Literal["diverged", "did not learn", "out of memory", "error", "timeout", "killed"]
"""Why a training failed: the first two are findings about the network and its learning rate, the others are not."""

_BROKE: tuple[Cause, ...] = (OUT_OF_MEMORY, ERROR, TIMEOUT, KILLED)


@dataclass(frozen=True, slots=True)
class EpochPoint:
    """One epoch of a training: mean training loss, validation loss, validation accuracy (0 to 1)."""

    epoch: int
    train_loss: float
    loss: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class TrainingOutcome:
    """What one seeded training gave.

    Attributes:
        seed: of initialisation, data order and augmentation.
        status: `complete`; `failed` for every `Cause`; `stopped` when a pruner ended it, or spared it.
        accuracy: validation accuracy after the last epoch, 0 to 1; None unless complete.
        loss: validation cross-entropy after the last epoch, in nats; None unless complete. The analysis counts a
            training that learned nothing as failed, and keeps its loss.
        seconds: wall-clock time of the training.
        curve: one point an epoch.
        finished_at: UTC time, ISO 8601.
        note: why it is not complete.
        learning_rate: peak rate of the training; None where it was not kept.
        micro_batches: parts in which each batch went through the network, for want of memory; 1 is the whole batch.
        compiled_graphs: pieces of the network that were compiled for it; 0 where nothing is compiled, or all was there.
        compile_seconds: that it took, part of `seconds`.
        eager: why its steps were not compiled or replayed, in a study where they are; empty where they were.
        trained_on: what the maker calls the GPU or processor; empty where it was not kept, or its process was lost.
    """

    seed: int
    status: Status
    accuracy: float | None
    loss: float | None
    seconds: float
    curve: tuple[Annotated[EpochPoint, InARow()], ...]
    finished_at: str
    note: str = ""
    learning_rate: float | None = None
    micro_batches: int = 1
    compiled_graphs: int = 0
    compile_seconds: float = 0.0
    eager: str = ""
    trained_on: str = ""

    @property
    def cause(self) -> Cause | None:
        """Why it failed; None where it did not."""
        if self.status != "failed":
            return None
        if self.loss is not None:
            return "did not learn"
        return next((cause for cause in _BROKE if self.note.startswith(cause)), "diverged")

    @property
    def out_of_memory(self) -> bool:
        """Whether it failed for want of memory."""
        return self.cause == OUT_OF_MEMORY

    @property
    def broke(self) -> bool:
        """Whether it failed for another reason than what it learned: tried again, it may end well."""
        return self.cause in _BROKE


@dataclass(frozen=True, slots=True)
class NetworkRecord:
    """A candidate as a study keeps it.

    Attributes:
        number: of the network in the study, in the order of proposal.
        budget: text of the budget; the baseline's own is `1x`.
        roles: names under which it was proposed: `baseline`, `depth`, `width`, `resolution`, `uniform`, `efficientnet`.
        coefficients: the triple that proposed it.
        shares: of log-cost; None for the baseline, which spends nothing.
        alpha_range: smallest and largest alpha that round to this network; the same for beta and gamma.
        macs: counted multiply-adds, whatever the budget is counted in; the same for params and activations.
        currency: what the budget is counted in.
        cost: in that currency, after rounding and repair: counted, or measured before the training.
        target: the budget in that currency.
        excess: (name, cost / limit - 1) of every second limit of the study: above 0 where the network breaks it; such
            a network is kept and never trained.
        latency_seconds: median of a batch, where it was measured.
        latency_spread: distance between the quartiles of its repeats, over the median.
        memory_bytes: of a training step, where it was asked for.
        stands_for: the roles that no network has, for which this one, the nearest, stands.
    """

    number: Annotated[int, Field(alias="trial")]
    budget: str
    roles: tuple[str, ...]
    coefficients: Annotated[Coefficients, InARow()]
    shares: Annotated[Shares, InARow()] | None
    alpha_range: Range
    beta_range: Range
    gamma_range: Range
    spec: NetworkSpec
    macs: int
    params: int
    activations: int
    currency: str
    cost: Number
    target: Number
    within_tolerance: bool
    excess: Excess = ()
    latency_seconds: float | None = None
    latency_spread: float | None = None
    memory_bytes: Number | None = None
    stands_for: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The roles as people read them: `near uniform` where no network is there and this one stands for it."""
        return tuple(f"near {role}" if role in self.stands_for else role for role in self.roles)

    @property
    def target_macs(self) -> int | None:
        """The budget in multiply-adds; None where it is counted in something else."""
        return round(self.target) if self.currency == "macs" else None

    @property
    def residual(self) -> float:
        """Signed relative miss of the budget: cost / target - 1."""
        return self.cost / self.target - 1.0

    @property
    def violations(self) -> Excess:
        """The second limits that it breaks."""
        return tuple((name, part) for name, part in self.excess if part > 0)

    @property
    def trainable(self) -> bool:
        """Whether it is on the budget and within every second limit."""
        return self.within_tolerance and not self.violations


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """One row of evidence: a network and one training of it (None for a network that was never trained)."""

    network: NetworkRecord
    outcome: TrainingOutcome | None

    @property
    def status(self) -> Status:
        """How the training ended, or `off_budget` (outside the tolerance) or `infeasible` (over a second limit)."""
        if self.outcome:
            return self.outcome.status
        return "infeasible" if self.network.within_tolerance else "off_budget"
