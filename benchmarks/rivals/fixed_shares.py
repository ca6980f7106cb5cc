"""Shares of the log-cost that somebody published: nothing is searched.

Source: github.com/facebookresearch/pycls, pycls/models/scaler.py, `scaling_factors`: "fast compound scaling" is
d1_w8_g8_r1, so depth gets a tenth of the log-cost, width eight and resolution one. Uniform is d1_w1_r1.
"""

from task import BUDGET, Task

from scalesearch.networks.spec import NetworkSpec


def factors(depth: float, width: float, resolution: float) -> tuple[float, float, float]:
    whole = depth + width + resolution
    return BUDGET ** (depth / whole), BUDGET ** (width / whole / 2), BUDGET ** (resolution / whole / 2)


def pycls(task: Task) -> NetworkSpec:
    return task.network(*factors(1, 8, 1))


def uniform(task: Task) -> NetworkSpec:
    return task.network(*factors(1, 1, 1))
