"""Every stage of a network written out: channels, repeats, what its family fixes, and what it costs."""

from __future__ import annotations

import dataclasses
from typing import Any

from scalesearch.networks.base import Baseline, ClosedFormBaseline, Task
from scalesearch.networks.configured import ConfiguredBaseline
from scalesearch.networks.spec import NetworkSpec
from scalesearch.networks.user.line import multiplier
from scalesearch.scaling.cost import closed_form


def architecture(baseline: Baseline) -> dict[str, Any]:
    """What does not scale, as the family's config has it; only the name of a network that is not scalesearch's own."""
    if not isinstance(baseline, ConfiguredBaseline):
        return {"family": baseline.name}
    return {"family": baseline.MODULE[1], **dataclasses.asdict(baseline.config)}


def stages(baseline: Baseline, spec: NetworkSpec, task: Task) -> list[dict[str, Any]]:
    """One mapping a stage, input side first: `stem` and `head` where they are, and the numbered stages between.

    What is in none of them, such as the class token of a ViT, is the stage `other`, the last.

    `channels` and `repeats` are of the spec; `expand`, `kernel` and `stride` (of the first block) are there where the
    family has them for each stage, `macs` and `params` where it has a closed form. A network that does not tell its
    stages is the one stage `whole`, with its multipliers of `depth` and `width`.

    Example:
        >>> from scalesearch.networks.registry import get_baseline
        >>> b0 = get_baseline("efficientnet_b0")
        >>> {key: value for key, value in stages(b0, b0.spec, b0.task)[2].items() if key != "macs"}
        {'stage': '1', 'channels': 24, 'repeats': 2, 'expand': 6, 'kernel': 3, 'stride': 2, 'params': 16714}
    """
    if spec.unit == "thousandth":
        multipliers = {"depth": multiplier(spec.depths[0]), "width": multiplier(spec.widths[0])}
        return [{"stage": "whole", **multipliers}]
    costs = _costs(baseline, spec, task)
    middle = zip(map(str, range(len(spec.depths))), spec.widths, spec.depths, strict=True)
    named: dict[str, dict[str, Any]] = {
        "stem": {"channels": spec.stem_width} if spec.stem_width else {},
        **{name: {"channels": width, "repeats": depth} for name, width, depth in middle},
        "head": {"channels": spec.head_width} if spec.head_width else {},
    }
    for name, fixed in _fixed(baseline).items():
        named[name] |= fixed
    named |= {name: {} for name in costs if name not in named}
    found = ({"stage": name, **own, **costs.get(name, {})} for name, own in named.items())
    return [stage for stage in found if len(stage) > 1]


def _costs(baseline: Baseline, spec: NetworkSpec, task: Task) -> dict[str, dict[str, int]]:
    if not isinstance(baseline, ClosedFormBaseline):
        return {}
    cost = closed_form(baseline, spec, task)
    return {stage.name: {"macs": stage.macs, "params": stage.params} for stage in cost.stages}


def _fixed(baseline: Baseline) -> dict[str, dict[str, int]]:
    """What each numbered stage has beside channels and repeats."""
    config = baseline.config if isinstance(baseline, ConfiguredBaseline) else None
    if rows := getattr(config, "stages", ()):
        return {
            str(i): {"expand": row.expand, "kernel": row.kernel, "stride": row.stride} for i, row in enumerate(rows)
        }
    return {str(i): {"stride": stride} for i, stride in enumerate(getattr(config, "strides", ()))}
