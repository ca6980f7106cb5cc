"""`scalesearch scale`: the family of networks that coefficients give."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scalesearch.cli.app import USE, AsJson, Storage, StudiesDir, Trust, command, show, show_json
from scalesearch.cli.exponents import NativePx
from scalesearch.cli.shell import completion
from scalesearch.errors import UsageError, choice_error

if TYPE_CHECKING:
    from scalesearch.scaling.coefficients import Coefficients
    from scalesearch.scaling.questions.family import ScalingRequest


@command(USE, "scalesearch scale mine --phi 0..3 --explain")
def scale(
    name: Annotated[
        str,
        typer.Argument(
            metavar="BASE|STUDY",
            help="Baseline network, or a study whose best network is scaled on.",
            autocompletion=completion.baselines_or_studies,
        ),
    ],
    alpha: Annotated[float | None, typer.Option(help="Depth multiplier at phi = 1.")] = None,
    beta: Annotated[float | None, typer.Option(help="Width multiplier at phi = 1.")] = None,
    gamma: Annotated[float | None, typer.Option(help="Resolution multiplier at phi = 1.")] = None,
    phi: Annotated[str, typer.Option(help="Compound coefficients: 0.5, 0..7, or 0,1,2.")] = "0..3",
    resolution: NativePx = None,
    rounding: Annotated[
        str | None, typer.Option(help="Depth rule: proportional, official or round [the study's, else proportional].")
    ] = None,
    explained: Annotated[bool, typer.Option("--explain", help="Stage by stage, what each member adds.")] = False,
    budget: Annotated[str | None, typer.Option("--budget", "-b", help="Budget of the study [its first].")] = None,
    trust: Trust = False,
    studies_dir: StudiesDir = Path("studies"),
    storage: Storage = None,
    as_json: AsJson = False,
) -> None:
    """Show the family that coefficients give, each member counted.

    Each is realized on its own target. Coefficients: those given (1 where only others are given); else the best
    network's of the study, or EfficientNet's 1.2, 1.1, 1.15. A name that is both is the baseline.
    """
    from scalesearch.environment.waiting import doing
    from scalesearch.report.family import render_family
    from scalesearch.scaling.answers.family import family_to_dict
    from scalesearch.scaling.coefficients import Coefficients
    from scalesearch.scaling.questions.family import parse_phis, scale_family

    phis = parse_phis(phi)
    triple = (alpha, beta, gamma)
    given = None if triple == (None, None, None) else Coefficients(*(1.0 if v is None else v for v in triple))
    question = _question(name, given, budget, rounding, resolution, studies_dir, trust=trust, storage=storage)
    with doing("counting the members"):
        family = scale_family(question, phis)
    if as_json:
        show_json(family_to_dict(family, explained=explained))
    else:
        show(render_family(family, explained))


def _question(
    name: str,
    given: Coefficients | None,
    budget: str | None,
    rounding: str | None,
    resolution: int | None,
    root: Path,
    *,
    trust: bool,
    storage: str | None,
) -> ScalingRequest:
    from scalesearch.analysis.found import studied_question
    from scalesearch.analysis.load import load_result
    from scalesearch.networks.native import asked_baseline
    from scalesearch.networks.registry import BASELINES
    from scalesearch.scaling.coefficients import EFFICIENTNET
    from scalesearch.scaling.questions.family import ScalingRequest, with_rule
    from scalesearch.study import find_study, list_studies
    from scalesearch.study.finding import is_path
    from scalesearch.study.server.address import asked_server
    from scalesearch.study.trust import trust as allow

    if name not in BASELINES and ":" not in name:
        server = asked_server(storage)
        studies = [paths.name for paths in list_studies(root, server)]
        if name not in studies and not (is_path(name) and Path(name).is_dir()):
            known = [*BASELINES, "timm:NAME", "package.module:function", *studies]
            raise choice_error("baseline or study", name, known)
        if resolution is not None:
            raise UsageError(f"--resolution {resolution} is for a baseline, and {name!r} is a study, which has its own")
        found = find_study(name, root, server)
        if trust:
            allow(found)
        return studied_question(load_result(found), budget, given=given, rounding=rounding)
    if budget is not None:
        raise UsageError(f"--budget {budget} is for a study, and {name!r} is a baseline; use --phi")
    baseline = with_rule(asked_baseline(name, resolution), rounding or "proportional")
    origin = "as given" if given else "none were given, so these are EfficientNet's"
    return ScalingRequest(baseline, baseline.task, given or EFFICIENTNET, origin)
