"""`scalesearch scale`: the family of networks that coefficients give."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scalesearch.cli.app import AsJson, StudiesDir, app, show, show_json
from scalesearch.errors import StudyError, UsageError, choice_error

if TYPE_CHECKING:
    from scalesearch.analysis.result import BudgetResult, StudyResult
    from scalesearch.explore.scale import Question
    from scalesearch.networks.base import Baseline, Task
    from scalesearch.space import Coefficients


@app.command()
def scale(
    name: Annotated[
        str, typer.Argument(metavar="BASE|STUDY", help="Baseline network, or a study whose best network is scaled on.")
    ],
    alpha: Annotated[float | None, typer.Option(help="Depth multiplier at phi = 1.")] = None,
    beta: Annotated[float | None, typer.Option(help="Width multiplier at phi = 1.")] = None,
    gamma: Annotated[float | None, typer.Option(help="Resolution multiplier at phi = 1.")] = None,
    phi: Annotated[str, typer.Option(help="Compound coefficients: 0.5, 0..7, or 0,1,2.")] = "0..3",
    rounding: Annotated[
        str | None, typer.Option(help="Depth rule: proportional, official or round [the study's, else proportional].")
    ] = None,
    explained: Annotated[bool, typer.Option("--explain", help="Stage by stage, what each member adds.")] = False,
    budget: Annotated[str | None, typer.Option("--budget", "-b", help="Budget of the study [its first].")] = None,
    studies_dir: StudiesDir = Path("studies"),
    as_json: AsJson = False,
) -> None:
    """The family that coefficients give, each member realized on its target and counted.

    Coefficients: those given (1 where only others are given); else the best network's of the study, or EfficientNet's
    1.2, 1.1, 1.15. A name that is both is the baseline.
    """
    from scalesearch.analysis.family import family_to_dict
    from scalesearch.explore.scale import parse_phis, scale_family
    from scalesearch.report.family import FamilyTable
    from scalesearch.space import Coefficients

    phis = parse_phis(phi)
    triple = (alpha, beta, gamma)
    given = None if triple == (None, None, None) else Coefficients(*(1.0 if v is None else v for v in triple))
    question = _question(name, given, budget, rounding, studies_dir)
    family = scale_family(question, phis)
    if as_json:
        show_json(family_to_dict(family, explained=explained))
    else:
        show(FamilyTable(family, explained))


def _question(name: str, given: Coefficients | None, budget: str | None, rounding: str | None, root: Path) -> Question:
    from scalesearch.explore.scale import Question, with_rule
    from scalesearch.networks.registry import BASELINES, get_baseline
    from scalesearch.space import EFFICIENTNET
    from scalesearch.study import list_studies

    if name not in BASELINES and ":" not in name:
        studies = [paths.name for paths in list_studies(root)]
        if name not in studies:
            known = [*BASELINES, "timm:NAME", "package.module:function", *studies]
            raise choice_error("baseline or study", name, known)
        return _of_study(name, given, budget, rounding, root)
    if budget is not None:
        raise UsageError(f"--budget {budget} is for a study, and {name!r} is a baseline; use --phi")
    baseline = with_rule(get_baseline(name), rounding or "proportional")
    origin = "as given" if given else "none were given, so these are EfficientNet's"
    return Question(baseline, baseline.task, given or EFFICIENTNET, origin)


def _of_study(name: str, given: Coefficients | None, budget: str | None, rounding: str | None, root: Path) -> Question:
    from scalesearch.explore.scale import Question, with_rule
    from scalesearch.networks.base import Task
    from scalesearch.networks.registry import get_baseline
    from scalesearch.study import find_study, load_result

    result = load_result(find_study(name, root))
    _check_counted(result)
    config, data, chosen = result.manifest.config, result.manifest.data, _chosen(result, budget)
    baseline, task = get_baseline(config.base, data.native_px), Task(data.classes, data.channels)
    _check_same(baseline, task, result)
    found, origin = (given, "as given") if given else _best(result, chosen)
    return Question(
        with_rule(baseline, rounding or config.rounding),
        task,
        found,
        origin,
        config.tolerance,
        largest=max((summary.network.cost for summary in chosen.networks), default=0.0),
        currency=config.cost,
        exponents=result.manifest.exponents,
        transfer={} if given else _verified(chosen),
    )


def _verified(chosen: BudgetResult) -> dict[float, str]:
    """What `verify --phi` found of the best network's coefficients."""
    found = chosen.proof.transfer
    return {one.phi: one.status for one in found.at} if found else {}


def _check_counted(result: StudyResult) -> None:
    from scalesearch.currency import CURRENCIES

    config = result.manifest.config
    if not CURRENCIES[config.cost].counted:
        raise StudyError(
            f"study {result.manifest.study!r} counts its budget in {config.cost}, which is measured, not scaled; "
            f"allowed: scale {config.base} with --alpha, --beta and --gamma"
        )


def _check_same(baseline: Baseline, task: Task, result: StudyResult) -> None:
    macs, then = baseline.macs(baseline.spec, task), result.manifest.baseline_macs
    if macs != then:
        given = f"{baseline.name} has {macs:,} multiply-adds, {then:,} when study {result.manifest.study!r} was made"
        raise StudyError(f"{given}; start a new study, or bring the old baseline back")


def _chosen(result: StudyResult, budget: str | None) -> BudgetResult:
    """The budget asked for, else the first."""
    by_text = {b.facts.text: b for b in result.budgets}
    if budget is None:
        return result.budgets[0]
    if budget not in by_text:
        raise choice_error("budget", budget, by_text)
    return by_text[budget]


def _best(result: StudyResult, chosen: BudgetResult) -> tuple[Coefficients, str]:
    study, text = result.manifest.study, chosen.facts.text
    if chosen.best is None:
        raise StudyError(f"study {study!r} has no best network on budget {text} yet; resume it first")
    unfinished = "" if result.complete else ", which is not finished"
    return chosen.best.network.coefficients, f"the best network at {text} of study {study}{unfinished}"
