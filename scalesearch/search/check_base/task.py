"""Whether a user's network follows the task: as many outputs as classes, as many inputs as channels."""

from __future__ import annotations

from collections.abc import Iterator

from scalesearch.errors import BaseError, InfeasibleError
from scalesearch.networks.base import Baseline, Task
from scalesearch.networks.user.function import UserBaseline
from scalesearch.search.check_base.found import Finding


def task_findings(baseline: Baseline, task: Task) -> Iterator[Finding]:
    """Build the unscaled network for another number of classes, and of channels; an argument that it ignores is named.

    Nothing is said of baselines that are not a user's.
    """
    if not isinstance(baseline, UserBaseline):
        return
    more, other = task.num_classes + 1, 3 if task.in_channels == 1 else 1
    problems = [
        *_followed(baseline, "num_classes", more, Task(more, task.in_channels)),
        *_followed(baseline, "in_channels", other, Task(task.num_classes, other)),
    ]
    yield from problems
    if not problems:
        text = f"follows num_classes ({task.num_classes} and {more}) and in_channels ({task.in_channels} and {other})"
        yield Finding("ok", "task", text)


def _followed(baseline: UserBaseline, name: str, value: int, task: Task) -> Iterator[Finding]:
    try:
        output = baseline.shapes(baseline.spec, task).output
    except (BaseError, InfeasibleError) as error:
        yield Finding("problem", "task", f"{name} is ignored somewhere: with {name}={value}, {error}")
        return
    if output != (1, task.num_classes):
        shape = "something else" if output is None else f"logits of shape {list(output)}"
        wanted = [1, task.num_classes]
        yield Finding("problem", "task", f"{name} is ignored: with {name}={value} it gives {shape}, wanted: {wanted}")
