"""The line of code that makes a network of a study: a user's own call, or scalesearch's for every other baseline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scalesearch.networks.spec import NetworkSpec
from scalesearch.networks.user.line import CLASS, NAMES, CodeLine, is_user_reference, user_line
from scalesearch.study.manifest import Manifest


def network_line(manifest: Manifest, spec: NetworkSpec) -> CodeLine:
    """What makes a network of a study, for its classes and input channels."""
    base, task = manifest.config.base, (manifest.data.classes, manifest.data.channels)
    if is_user_reference(base):
        form = manifest.baseline_call or (NAMES if spec.unit == "thousandth" else CLASS)
        return user_line(base, form, spec, *map(str, task))
    ends = {"stem": spec.stem_width, "head": spec.head_width}
    sizes = {"depths": spec.depths, "widths": spec.widths, **{name: width for name, width in ends.items() if width}}
    values = sizes | {"resolution": spec.resolution_px, "num_classes": task[0], "in_channels": task[1]}
    return CodeLine("import scalesearch", f'scalesearch.build_network("{base}", {_named(values)})')


def _named(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items())
