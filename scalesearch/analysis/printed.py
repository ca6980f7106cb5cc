"""What the EfficientNet paper prints of single-dimension and compound scaling: for orientation, never for a verdict.

One training each, without seeds, on ImageNet. In table 3 compound scaling had the most multiply-adds of every group.

Source: Tan & Le, arXiv 1905.11946v5, tables 3 and 7.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Printed:
    """One row of the paper.

    Attributes:
        macs_text: its "FLOPs" as printed.
        top1_percent: single-crop ImageNet accuracy, 0 to 100.
    """

    macs_text: str
    top1_percent: float


@dataclass(frozen=True, slots=True)
class PrintedTable:
    """The rows of one network that the paper has.

    Attributes:
        rows: `baseline`, `depth` (4 times), `width` and `resolution` (twice), `efficientnet` (1.4, 1.2, 1.3).
    """

    network: str
    table: int
    rows: Mapping[str, Printed]


_TABLES: dict[str, PrintedTable] = {
    "mobilenet_v1": PrintedTable(
        "MobileNetV1",
        3,
        {
            "baseline": Printed("0.6B", 70.6),
            "width": Printed("2.2B", 74.2),
            "resolution": Printed("2.2B", 72.7),
            "efficientnet": Printed("2.3B", 75.6),
        },
    ),
    "mobilenet_v2": PrintedTable(
        "MobileNetV2",
        3,
        {
            "baseline": Printed("0.3B", 72.0),
            "depth": Printed("1.2B", 76.8),
            "width": Printed("1.1B", 76.4),
            "resolution": Printed("1.2B", 74.8),
            "efficientnet": Printed("1.3B", 77.4),
        },
    ),
    "resnet": PrintedTable(
        "ResNet-50",
        3,
        {
            "baseline": Printed("4.1B", 76.0),
            "depth": Printed("16.2B", 78.1),
            "width": Printed("14.7B", 77.7),
            "resolution": Printed("16.4B", 77.5),
            "efficientnet": Printed("16.7B", 78.8),
        },
    ),
    "efficientnet": PrintedTable(
        "EfficientNet-B0",
        7,
        {
            "baseline": Printed("0.4B", 77.3),
            "depth": Printed("1.8B", 79.0),
            "width": Printed("1.8B", 78.9),
            "resolution": Printed("1.9B", 79.1),
            "efficientnet": Printed("1.8B", 81.1),
        },
    ),
}


def printed_table(base: str) -> PrintedTable | None:
    """The paper's rows for a baseline of the same kind, found by its name; None where there are none.

    Example:
        >>> printed_table("mobilenet_v2_micro").rows["depth"].top1_percent
        76.8
    """
    return next((table for kind, table in _TABLES.items() if base.startswith(kind)), None)
