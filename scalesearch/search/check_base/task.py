"""Whether a user's network follows the task: as many outputs as classes, as many inputs as channels."""

from __future__ import annotations

from collections.abc import Iterator

from scalesearch.errors import BaseError, InfeasibleError
from scalesearch.networks.base import Baseline, Task
from scalesearch.networks.user.function import UserBaseline
from scalesearch.scaling.units import plural
from scalesearch.search.check_base.found import Finding


def task_findings(baseline: Baseline, task: Task, *, channels_given: bool = False) -> Iterator[Finding]:
    """Build the unscaled network for another number of classes, and of channels; an argument that it ignores is named.

    Nothing is said of baselines that are not a user's.

    Args:
        channels_given: whether the channels are those of the data, so that no others are asked for; else a network
            that runs with its own alone is warned of.
    """
    if not isinstance(baseline, UserBaseline):
        return
    more, other = task.num_classes + 1, 3 if task.in_channels == 1 else 1
    found, followed = [], f"follows num_classes ({task.num_classes} and {more})"
    if text := _ignored(baseline, "num_classes", more, Task(more, task.in_channels)):
        found.append(Finding("problem", "task", text))
    if not channels_given:
        if text := _ignored(baseline, "in_channels", other, Task(task.num_classes, other)):
            text += f"; images of {plural(task.in_channels, 'channel')} run, and data of another number are refused"
            found.append(Finding("warning", "task", text))
        followed += f" and in_channels ({task.in_channels} and {other})"
    yield from found or [Finding("ok", "task", followed)]


def _ignored(baseline: UserBaseline, name: str, value: int, task: Task) -> str:
    """That an argument of the task is ignored, in words; empty where it is followed."""
    try:
        output = baseline.shapes(baseline.spec, task).output
    except (BaseError, InfeasibleError) as error:
        return f"{name} is ignored somewhere: with {name}={value}, {error}"
    if output == (1, task.num_classes):
        return ""
    shape = "something else" if output is None else f"logits of shape {list(output)}"
    return f"{name} is ignored: with {name}={value} it gives {shape}, wanted: {[1, task.num_classes]}"
