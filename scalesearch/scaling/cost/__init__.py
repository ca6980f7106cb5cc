"""What a network costs for one image: in closed form, and as fvcore counts it while the network runs.

Two totals are kept apart. `macs` is the multiply-adds of convolution, linear, matmul and recurrent operators (the
EfficientNet paper's "FLOPs"); `fvcore_total` is fvcore's own total, which adds normalisation, pooling and upsampling.
Operators that neither includes are listed, never silently zero. torch and fvcore are loaded by the functions that run a
network.
"""

from __future__ import annotations

from scalesearch.scaling.cost.agreement import (
    CountAgreement,
    count_agreement,
    listed_operators,
    refuse_disagreement,
    uncounted_note,
)
from scalesearch.scaling.cost.amounts import QUANTITIES, Cost, StageCost, closed_form
from scalesearch.scaling.cost.checked import count
from scalesearch.scaling.cost.module import HasStages, count_module

__all__ = [
    "QUANTITIES",
    "Cost",
    "CountAgreement",
    "HasStages",
    "StageCost",
    "closed_form",
    "count",
    "count_agreement",
    "count_module",
    "listed_operators",
    "refuse_disagreement",
    "uncounted_note",
]  # fmt: skip
