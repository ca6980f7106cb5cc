"""The closed form of each family against fvcore: equal on random networks? and how many times faster?

python benchmarks/closed_form.py [NETWORKS] [FAMILY ...]      (default: 500 networks, one member of each family)

Every network is drawn around its baseline (depth, width and resolution multipliers log-uniform in 0.5 to 1.5, at half
the native resolution, so that fvcore ends today), rounded, and compared stage by stage: multiply-adds, fvcore's total,
parameters, activations. fvcore's time is CPU seconds of one count (it runs the network; building is not included).
"""

from __future__ import annotations

import math
import random
import statistics
import sys
import time
from dataclasses import replace

import torch

from scalesearch.networks.base import ClosedFormBaseline, Task
from scalesearch.networks.registry import get_baseline
from scalesearch.networks.spec import NetworkSpec
from scalesearch.scaling.coefficients import Coefficients
from scalesearch.scaling.cost import Cost, closed_form, count_module
from scalesearch.scaling.realize import round_spec

FAMILIES = (
    "efficientnet_b0", "mobilenet_v1", "mobilenet_v2", "resnet18", "resnet50", "densenet121", "regnet_y_400mf",
    "convnext_tiny", "vit_tiny_patch16_224", "resnet_small", "densenet_small", "mobilenet_v2_small",
)  # fmt: skip
CALLS = 20


def main(networks: int = 500, *names: str) -> None:
    torch.set_num_threads(1)
    print(
        "| family | networks | equal to fvcore | closed form, us: median, max "
        "| fvcore, CPU-s: median | ratio: median, least |"
    )
    print("|---|---|---|---|---|---|")
    for name in names or FAMILIES:
        row(name, networks)


def row(name: str, networks: int) -> None:
    baseline = get_baseline(name)
    if not isinstance(baseline, ClosedFormBaseline):
        raise SystemExit(f"{name} has no closed form")
    draws = random.Random(f"closed form of {name}")
    equal, fast, slow = 0, [], []
    for _ in range(networks):
        spec, task = drawn(baseline, draws), Task(draws.randint(2, 1000), draws.choice((1, 3)))
        begun = time.process_time()
        for _ in range(CALLS):
            baseline.macs(spec, task)
        fast.append((time.process_time() - begun) / CALLS)
        with torch.random.fork_rng(devices=[]):
            module = baseline.build(spec, task)
        begun = time.process_time()
        counted = count_module(module, spec.resolution_px, task.in_channels)
        slow.append(time.process_time() - begun)
        equal += comparable(counted) == comparable(closed_form(baseline, spec, task))
    ratios = [b / a for a, b in zip(fast, slow, strict=True)]
    print(
        f"| {name} | {networks} | {equal} | {1e6 * statistics.median(fast):.1f}, {1e6 * max(fast):.1f} "
        f"| {statistics.median(slow):.2f} | {statistics.median(ratios):,.0f}, {min(ratios):,.0f} |",
        flush=True,
    )


def drawn(baseline: ClosedFormBaseline, draws: random.Random) -> NetworkSpec:
    multipliers = (math.exp(draws.uniform(math.log(0.5), math.log(1.5))) for _ in range(3))
    spec = round_spec(baseline.spec, Coefficients(*multipliers), baseline.rules)
    steps = (spec.resolution_px // 2 - baseline.rules.min_resolution_px) // baseline.rules.resolution_step_px
    return replace(
        spec, resolution_px=baseline.rules.min_resolution_px + max(0, steps) * baseline.rules.resolution_step_px
    )


def comparable(cost: Cost) -> object:
    return replace(cost, stages=(), operators=(), uncounted_ops=()), frozenset(cost.stages)


if __name__ == "__main__":
    main(*(kind(value) for kind, value in zip((int, *[str] * len(sys.argv)), sys.argv[1:], strict=False)))
