"""A study as an object."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from scalesearch.analysis.answer.answer import Answer, answer
from scalesearch.analysis.found import best_of, chosen_budget
from scalesearch.analysis.load import load_result
from scalesearch.analysis.result import BudgetResult, StudyResult
from scalesearch.analysis.verified.verification import Verification
from scalesearch.api.network import FoundNetwork, build_of, read_phis
from scalesearch.errors import StudyError
from scalesearch.networks.spec import NetworkSpec
from scalesearch.scaling.coefficients import Coefficients, parse_budget
from scalesearch.study import StudyPaths, StudyStore
from scalesearch.study.database import reading
from scalesearch.study.record import to_frame
from scalesearch.study.record.evidence import evidence_frame

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from torch import nn

    from scalesearch.export import Exported
    from scalesearch.training.full import Trained

Row = TypeVar("Row")


class Study:
    """A study on the disk: what it found, its rows, its figures and its exports. Made by `load_study`.

    Attributes:
        paths: of every file of its folder.
        result: everything that `scalesearch show` prints, as frozen values; read once.
    """

    def __init__(self, paths: StudyPaths) -> None:
        self.paths = paths
        self.result: StudyResult = load_result(paths)

    def __repr__(self) -> str:
        state = "complete" if self.result.complete else "unfinished"
        config = self.result.manifest.config
        return f"Study({self.name!r}: {config.base} at {', '.join(self.budgets)} on {config.data}, {state})"

    def _repr_html_(self) -> str:
        """What a notebook shows: the answer on each budget, and the best networks."""
        from scalesearch.api.shown import study_html

        return study_html(self.result)

    @property
    def name(self) -> str:
        """The study's name."""
        return self.paths.name

    @property
    def budgets(self) -> tuple[str, ...]:
        """The budgets as the study writes them, such as `2x`."""
        return tuple(budget.facts.text for budget in self.result.budgets)

    @property
    def coefficients(self) -> Coefficients:
        """Those of the best network of the first budget, at phi = 1. Raises as `best` does."""
        return self.best().coefficients

    @cached_property
    def baseline(self) -> FoundNetwork:
        """The unscaled network.

        Raises:
            StudyError: it was not trained yet.
        """
        if self.result.baseline is None:
            raise StudyError(f"study {self.name!r} has not trained its baseline yet; resume it first")
        return FoundNetwork(self.result, self.result.baseline)

    def best(self, budget: str | None = None) -> FoundNetwork:
        """The best network of a budget; None takes the study's first.

        Raises:
            BudgetError: text that is no budget.
            UnknownNameError: the study does not have this budget.
            StudyError: nothing was trained on it yet.
        """
        return FoundNetwork(self.result, best_of(self.result, self._budget(budget)))

    def answer(self, budget: str | None = None) -> Answer:
        """What to do on a budget, what it gains and how sure that is; None takes the study's first.

        Raises:
            BudgetError, UnknownNameError: as `best`.
        """
        return answer(self.result, self._budget(budget))

    @property
    def advice(self) -> str:
        """What to do on the first budget, in a sentence or two."""
        return self.answer().todo

    def networks(self, budget: str | None = None) -> tuple[FoundNetwork, ...]:
        """Every ranked network of a budget, the best first. One that failed or missed the budget is in `to_dataframe`.

        Raises:
            BudgetError, UnknownNameError: as `best`.
        """
        return tuple(FoundNetwork(self.result, summary) for summary in self._budget(budget).networks if summary.ranked)

    def verification(self, budget: str | None = None) -> Verification | None:
        """What `scalesearch verify` found of the best network on new seeds; None before it has been run."""
        return self._budget(budget).proof.verification

    def to_dataframe(self) -> pd.DataFrame:
        """One row a training, with the columns of `trials.csv` (see `scalesearch.study.record.COLUMNS`)."""
        return to_frame(self._rows(StudyStore.records))

    def evidence(self) -> pd.DataFrame:
        """One row a training of `scalesearch verify`, with the columns of `evidence.csv`; empty before it was run."""
        return evidence_frame(self._rows(StudyStore.evidence))

    def trained(self) -> tuple[Trained, ...]:
        """Every finished training of `scalesearch train`: scores, curve, recipe, and the file of its weights.

        Raises:
            StudyError: a result file is damaged.
        """
        from scalesearch.training.full import trained

        return trained(self.paths)

    def plot(self, kind: str = "pareto", budget: str | None = None) -> Figure:
        """One figure, which a notebook shows and `figure.savefig` writes.

        Args:
            kind: see `scalesearch.report.figures.FIGURES`.
            budget: None draws all budgets.

        Raises:
            UnknownNameError: another kind or budget.
            StudyError: a law of fewer than three budgets.
        """
        from scalesearch.report.figures import figure

        return figure(self.result, kind, None if budget is None else self._budget(budget).facts.text)

    def export(
        self,
        to: str,
        out: str | Path | None = None,
        *,
        budget: str | None = None,
        phis: str | Sequence[float] | None = None,
        check: bool = True,
        weights: Sequence[str | Path] = (),
        places: bool = False,
    ) -> Exported:
        """Write the networks of a budget as a folder for a library, as `scalesearch export` does.

        Args:
            to: see `scalesearch.export.LIBRARIES`.
            out: folder; None takes the command's own, in the study's `exports`.
            budget: None takes the study's first.
            phis: members of the family, as `FoundNetwork.scale` reads them; None takes the library's own choice.
            check: build every member in the library and compare it, before the folder is put in place.
            weights: files that `scalesearch train` wrote.
            places: leave absolute paths and addresses in it, which tell about the machine and its user.

        Raises:
            ScaleSearchError: see `scalesearch.export.export_study`.
        """
        from scalesearch.export import export_study

        text = self._budget(budget).facts.text
        return export_study(
            self.result,
            to,
            self.paths.export(to, text) if out is None else Path(out),
            budget=text,
            phis=None if phis is None else read_phis(phis),
            check=check,
            weights=[Path(path) for path in weights],
            places=places,
            command=f"scalesearch.load_study({str(self.paths.folder)!r}).export({to!r}, budget={text!r})",
        )

    def build(
        self,
        spec: NetworkSpec,
        *,
        num_classes: int | None = None,
        in_channels: int | None = None,
        dropout: float | None = None,
        stochastic_depth: float | None = None,
    ) -> nn.Module:
        """Any network of the study's family, such as `study.best().scale("2").members[0].network.spec`.

        Args:
            spec: with as many stages as the baseline.
            num_classes: outputs of the classifier; None takes the study's.
            in_channels: of the image; None takes the study's.
            dropout: before the classifier, 0 to 1; None takes the family's own.
            stochastic_depth: rate that the deepest blocks approach, 0 to 1; None takes the family's own.

        Returns:
            Module from float32 [N, in_channels, px, px] to logits [N, num_classes], in train mode; its new weights are
            drawn from torch's global generator (`torch.manual_seed`).

        Raises:
            StudyError: the baseline of this name is another network today.
            UsageError: a spec of another number of stages, a rate or a task outside its range.
            BaseError: a user's network that cannot be imported.
        """
        return build_of(self.result, spec, num_classes, in_channels, dropout, stochastic_depth)

    def _budget(self, budget: str | None) -> BudgetResult:
        return chosen_budget(self.result, None if budget is None else parse_budget(budget).text)

    def _rows(self, read: Callable[[StudyStore], Sequence[Row]]) -> Sequence[Row]:
        with reading(self.paths) as store:
            return read(store) if store else ()
