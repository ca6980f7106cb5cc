"""Networks as strangers bring them: functions that nobody tuned for this program, each in the manner of its kind.

Every one is `build(depth, width, resolution, num_classes, in_channels)`; `tests/` is on `sys.path` in tests, so that
the references below are ready for `--base`. In another process give it as `PYTHONPATH`, or take `folder()`.
"""

from __future__ import annotations

from pathlib import Path

NETWORKS = {
    name: f"strangers.{name}:build"
    for name in (
        "resnet_like",
        "inception_like",
        "vit_small",
        "u_shaped",
        "multi_branch",
        "grouped",
        "dilated",
        "transposed",
        "mlp_mixer",
        "swin_small",
        "lstm_rows",
        "weight_shared",
        "widths_of_32",
    )
}
"""Name to reference: ordinary networks, about 0.5 to 8 million multiply-adds at 32 px."""

TRAPS = (
    "fails_below_a_size",
    "rounds_up",
    "ignores_width_in_a_region",
    "ignores_resolution_in_a_region",
    "cheaper_when_deeper",
    "whole_heads",
    "whole_groups",
    "group_norm_of_one_value",
    "width_floor",
)
HOSTILE = {name: f"strangers.hostile:{name}" for name in TRAPS}
"""Name to reference: functions with one trap each, told by their docstrings."""


def folder() -> Path:
    """What must be on the path for the references to work in another process."""
    return Path(__file__).parent.parent
