"""Whether a baseline can be searched: built at several points, counted, run once, and told in plain words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from scalesearch.errors import BaseError, InfeasibleError, UsageError
from scalesearch.networks.base import Baseline, ClosedFormBaseline, Task
from scalesearch.networks.native import native_baseline
from scalesearch.networks.user.call import ARGUMENTS
from scalesearch.networks.user.function import FunctionBaseline, UserBaseline
from scalesearch.scaling.coefficients import Budget, parse_budget
from scalesearch.scaling.units import DIMENSIONS
from scalesearch.search.check_base.found import BaseCheck, BudgetFit, BudgetPoint, Finding, Level, looked_at, ran
from scalesearch.search.check_base.skipped import skipped_findings
from scalesearch.search.check_base.task import task_findings
from scalesearch.study.config import ProxyRecipe, config_from_dict

__all__ = ["BaseCheck", "BudgetFit", "BudgetPoint", "Finding", "Level", "check_base"]

RUNNING = ("batch", "gradients")
"""What is looked at when the network runs; where one of these is a problem, training fails for the same reason."""


def check_base(
    ref: str,
    *,
    resolution_px: int | None = None,
    num_classes: int | None = None,
    in_channels: int | None = None,
    recipe: ProxyRecipe | None = None,
    native_px: int | None = None,
    budget: str = "2x",
    tolerance: float = 0.0,
) -> BaseCheck:
    """Check a baseline: a user's own, a built-in or one of timm.

    Args:
        ref: as `--base` takes it.
        resolution_px: of the unscaled network; None takes what `run` takes: its own, or the images' where smaller.
        num_classes: None takes its own; the same for `in_channels`.
        native_px: of the images; None where there are none.
        budget: that is to be met, within `tolerance` (0 takes what `run` takes).
        recipe: by which a few steps are trained; None takes that of a study of this baseline.

    Returns:
        The findings; a user's network that cannot be imported or built has one.

    Raises:
        UsageError: a malformed reference, an unknown name, a class or channel count under 1.
        MissingExtraError: timm is not installed.
    """
    if resolution_px is not None and resolution_px < 1:
        raise UsageError(f"--resolution is {resolution_px} px; allowed: 1 or more")
    wanted = parse_budget(budget)
    try:
        baseline = native_baseline(ref, resolution_px=resolution_px or 0, images_px=native_px or 0).baseline
    except (BaseError, InfeasibleError) as error:
        return BaseCheck(ref, (Finding("problem", "import", str(error)),))
    own = baseline.task
    task = Task(
        own.num_classes if num_classes is None else num_classes, own.in_channels if in_channels is None else in_channels
    )
    fit = partial(_fit, baseline, task, budget, tolerance)
    recipe = recipe or config_from_dict({"base": ref}).proxy
    return _checked(baseline, task, wanted, recipe, fit, channels_given=in_channels is not None)


def _checked(
    baseline: Baseline,
    task: Task,
    budget: Budget,
    recipe: ProxyRecipe,
    fitted: Callable[[], tuple[BudgetFit | None, list[Finding]]],
    *,
    channels_given: bool,
) -> BaseCheck:
    from scalesearch.search.check_base import costs
    from scalesearch.search.check_base.behaviour import Behaviour
    from scalesearch.search.check_base.training import training_findings

    sweeps = costs.Sweeps(baseline, task)
    if not sweeps.points:
        reason = next(iter(sweeps.failed.values()))
        return BaseCheck(baseline.name, (_form(baseline), Finding("problem", "output", reason)))
    findings = [_form(baseline), *costs.output_findings(sweeps)]
    findings += task_findings(baseline, task, channels_given=channels_given)
    for dimension in DIMENSIONS:
        findings += looked_at(dimension, partial(costs.dimension_findings, sweeps, dimension))
    findings += looked_at("resolution", partial(skipped_findings, baseline, task, budget))
    fit = None
    if not any(finding.level == "problem" and finding.check == "width" for finding in findings):
        fit, found = fitted()
        findings += found
    findings += ran("count", lambda: costs.count_findings(baseline, task))
    findings += ran("batch", lambda: Behaviour(baseline, task).findings())
    if not any(finding.level == "problem" and finding.check in RUNNING for finding in findings):
        findings += ran("training", lambda: training_findings(baseline, task, recipe))
    return BaseCheck(baseline.name, tuple(findings), sweeps.distinct, fit)


def _fit(baseline: Baseline, task: Task, budget: str, tolerance: float) -> tuple[BudgetFit | None, list[Finding]]:
    from scalesearch.search.check_base import costs

    fits: list[BudgetFit] = []

    def look() -> Iterator[Finding]:
        fits.append(costs.budget_fit(baseline, task, budget, tolerance))
        yield from costs.budget_findings(fits[0], baseline.spec.unit)

    findings = list(looked_at("budget", look))
    return (fits[0] if fits else None), findings


def _form(baseline: Baseline) -> Finding:
    """What kind of baseline it is."""
    spec = baseline.spec
    stages = f"{len(spec.depths)} stages of {list(spec.depths)} blocks and {list(spec.widths)} channels"
    if isinstance(baseline, FunctionBaseline):
        text = f"imports, and is a function of {', '.join(ARGUMENTS)}; unscaled at {spec.resolution_px} px"
    elif isinstance(baseline, UserBaseline):
        text = f"imports, and has {stages} at {spec.resolution_px} px"
    else:
        kind = "a closed form" if isinstance(baseline, ClosedFormBaseline) else "shapes"
        text = f"has {stages} at {spec.resolution_px} px; its cost comes from {kind}"
    return Finding("ok", "import", text)
