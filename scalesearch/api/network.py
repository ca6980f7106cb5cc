"""One network of a study as an object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scalesearch.analysis.answer.answer import answer
from scalesearch.analysis.calls import network_line
from scalesearch.analysis.found import studied_baseline, studied_question
from scalesearch.analysis.leader import Comparison
from scalesearch.analysis.result import BudgetResult, StudyResult
from scalesearch.analysis.summary import NetworkSummary
from scalesearch.analysis.verified.verification import Verification
from scalesearch.errors import StudyError
from scalesearch.networks.base import Task
from scalesearch.networks.spec import NetworkSpec
from scalesearch.scaling.answers.family import ScaledFamily
from scalesearch.scaling.coefficients import Coefficients
from scalesearch.scaling.questions.family import parse_phis, scale_family

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Validation accuracy of the short proxy trainings, 0 to 1.

    Attributes:
        mean: over the seeds.
        sd: over the seeds; None with one.
        ci95: 95 % interval of the mean, its seed spread pooled over the study; None where no network has two seeds.
        seeds: of the trainings, ascending.
    """

    mean: float
    sd: float | None
    ci95: tuple[float, float] | None
    seeds: tuple[int, ...]


@dataclass(frozen=True, slots=True, repr=False)
class FoundNetwork:
    """One network of a study, with what is known of it. Made by `Study.best`, `networks` and `baseline`.

    Attributes:
        result: of the study that trained it.
        summary: all its trainings, rank and status.
    """

    result: StudyResult
    summary: NetworkSummary

    def __repr__(self) -> str:
        c = self.coefficients
        found = (
            f"{self.budget}: alpha {c.alpha:.3f}, beta {c.beta:.3f}, gamma {c.gamma:.3f}, {self.macs:,} multiply-adds"
        )
        return f"FoundNetwork({self.result.manifest.study!r} at {found})"

    def _repr_html_(self) -> str:
        """What a notebook shows: its numbers, what to do with it, and the call that makes it."""
        from scalesearch.api.shown import network_html

        lines = [("advice", self.advice), ("in Python", self.call)]
        return network_html(self.summary, self.result.manifest.study, [line for line in lines if line[1]])

    @property
    def budget(self) -> str:
        """The budget as the study writes it; the baseline's is `1x`."""
        return self.summary.network.budget

    @property
    def roles(self) -> tuple[str, ...]:
        """References that round to it, such as `uniform`; `baseline` for the unscaled network."""
        return self.summary.network.roles

    @property
    def names(self) -> tuple[str, ...]:
        """The roles as people read them: `near uniform` where no network is at uniform and this one stands for it."""
        return self.summary.network.names

    @property
    def rank(self) -> int | None:
        """Among the networks of its budget: 1 is the best."""
        return self.summary.rank

    @property
    def coefficients(self) -> Coefficients:
        """Multipliers of depth, width and resolution that proposed it, at phi = 1; other triples round to it too."""
        return self.summary.network.coefficients

    @property
    def spec(self) -> NetworkSpec:
        """Blocks and channels of every stage, and the resolution: what is really built."""
        return self.summary.network.spec

    @property
    def resolution_px(self) -> int:
        """Side of the square image it takes, in pixels."""
        return self.spec.resolution_px

    @property
    def macs(self) -> int:
        """Multiply-adds for one image, as counted."""
        return self.summary.network.macs

    @property
    def params(self) -> int:
        """Trainable weights, with the classifier of the study's data."""
        return self.summary.network.params

    @property
    def accuracy(self) -> Accuracy:
        """What its trainings in the search gave.

        Raises:
            StudyError: it has no finished training.
        """
        own = self.summary
        if own.mean is None:
            raise StudyError(
                f"network {own.network.number} of study {self.result.manifest.study!r} has no finished training yet"
            )
        return Accuracy(own.mean, own.sd, own.ci95, own.seeds)

    @property
    def verdicts(self) -> tuple[Comparison, ...]:
        """The best network of a budget against each reference and the baseline; empty for any other network."""
        chosen = self._own_budget()
        return chosen.comparisons if chosen else ()

    @property
    def advice(self) -> str:
        """What to do on the budget whose best network this is, in a sentence or two; empty for any other network."""
        chosen = self._own_budget()
        return answer(self.result, chosen).todo if chosen else ""

    @property
    def verification(self) -> Verification | None:
        """What new seeds say of the best network of a budget; None for any other network, and before `verify`."""
        chosen = self._own_budget()
        return chosen.proof.verification if chosen else None

    @property
    def call(self) -> str:
        """One line of Python that makes it, for the study's classes and channels; it evaluates after `needs`.

        Of a user's own function the call itself, `my_net.build(depth=1.26, ...)`, of every other baseline
        `scalesearch.build_network(...)`.
        """
        return network_line(self.result.manifest, self.spec).call

    @property
    def needs(self) -> str:
        """The import that `call` needs, such as `import my_net`."""
        return network_line(self.result.manifest, self.spec).needs

    def build(
        self,
        num_classes: int | None = None,
        in_channels: int | None = None,
        dropout: float | None = None,
        stochastic_depth: float | None = None,
    ) -> nn.Module:
        """This network as a torch module with new random weights; arguments, result and errors are `Study.build`'s."""
        return build_of(self.result, self.spec, num_classes, in_channels, dropout, stochastic_depth)

    def scale(self, phis: str | Sequence[float] = "0..3") -> ScaledFamily:
        """The family that its coefficients give, each member realized on its own target and counted.

        Args:
            phis: compound coefficients, as numbers or as the command line writes them (`0..7`, `0.5,1`).

        Raises:
            UsageError: text that is no phi.
            StudyError: a budget that is measured and not counted, or a baseline that is another network today.
            InfeasibleError: a member that is too large or too small to be made.
        """
        chosen = read_phis(phis)
        best = self._own_budget()
        if best:
            return scale_family(studied_question(self.result, self.budget), chosen)
        return scale_family(studied_question(self.result, given=self.coefficients), chosen)

    def _own_budget(self) -> BudgetResult | None:
        """The budget that this network is the best of."""
        return next((b for b in self.result.budgets if b.best is self.summary), None)


def build_of(
    result: StudyResult,
    spec: NetworkSpec,
    num_classes: int | None,
    in_channels: int | None,
    dropout: float | None,
    stochastic_depth: float | None,
) -> nn.Module:
    """Any network of a study's family; None takes the study's task and the family's own rates. See `Study.build`."""
    baseline, task = studied_baseline(result)
    own = Task(
        task.num_classes if num_classes is None else num_classes,
        task.in_channels if in_channels is None else in_channels,
    )
    return baseline.build(spec, own, dropout=dropout, stochastic_depth=stochastic_depth)


def read_phis(phis: str | Sequence[float]) -> tuple[float, ...]:
    """Compound coefficients as numbers, or as the command line writes them."""
    return parse_phis(phis if isinstance(phis, str) else ",".join(str(float(phi)) for phi in phis))
