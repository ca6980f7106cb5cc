"""What the tests of exports to timm and torchvision share: families made by hand, written, probed in this process."""

from __future__ import annotations

import importlib
import itertools
import pkgutil
import random
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from scalesearch.export.check.reference import enliven, own_network, randomise
from scalesearch.export.library import Family, Library, Member, StageCount
from scalesearch.networks.base import Baseline, ClosedFormBaseline, Task
from scalesearch.networks.families.efficientnet import B0, make_baseline
from scalesearch.networks.registry import get_baseline
from scalesearch.networks.spec import NetworkSpec, RoundingRules
from scalesearch.scaling.coefficients import Coefficients
from scalesearch.scaling.cost import closed_form, count_module
from scalesearch.scaling.realize import round_spec

# Even widths that no 8 divides, times 6: what both libraries round.
B0_LIKE = make_baseline("b0_like", B0, 48, rules=RoundingRules(width_divisor=2, resolution_step_px=2))
MICRO = get_baseline("efficientnet_micro")

_numbers = itertools.count()


def triples(baseline: Baseline, number: int, seed: int, largest: float = 1.3) -> list[NetworkSpec]:
    """The networks of random coefficients."""
    draw = random.Random(seed)
    found = (Coefficients(*(draw.uniform(0.7, largest) for _ in range(3))) for _ in range(number))
    return [round_spec(baseline.spec, coefficients, baseline.rules) for coefficients in found]


def twenty(name: str) -> tuple[Baseline, list[NetworkSpec]]:
    """A built-in baseline, or B0 with even widths, and networks of 20 random triples, small enough to be run."""
    baseline = B0_LIKE if name == "efficientnet_b0" else get_baseline(name)
    specs = triples(baseline, 20, seed=2)
    if "vit" in name:  # its weights know the resolution
        return baseline, specs
    return baseline, [replace(spec, resolution_px=min(spec.resolution_px, 96)) for spec in specs]


def family(baseline: Baseline, specs: Sequence[NetworkSpec], task: Task | None = None) -> Family:
    """A family of a name that no other test has: timm's registry is one for the process."""
    name, task = f"made{next(_numbers)}", task or baseline.task
    members = tuple(
        Member(
            float(i), f"{name}_phi{i}", spec, baseline.macs(spec, task), baseline.amount("params", spec, task), "found"
        )
        for i, spec in enumerate(specs)
    )
    return Family(name, baseline, task, members, "A family made by hand, found by nobody.\nTwo lines of heading.", {})


def small(name: str) -> tuple[Baseline, list[NetworkSpec]]:
    """A built-in baseline with three networks of it that run in a moment."""
    baseline = get_baseline(name)
    specs = [round_spec(baseline.spec, Coefficients(*c, 1.0), baseline.rules) for c in ((0.4, 0.7), (0.8, 0.5))]
    px = min(baseline.spec.resolution_px, 64)
    return baseline, [replace(spec, resolution_px=px) for spec in specs]


def write(library: Library, made: Family, folder: Path) -> str:
    """The name of the module, written into `folder`."""
    for name, text in library.files(made).items():
        (folder / name).write_text(text, encoding="utf-8")
    return library.module(made) or ""


def wanted(made: Family, member: Member) -> dict[str, StageCount]:
    """Counts of every stage of scalesearch's own network, in closed form where there is one."""
    if isinstance(made.baseline, ClosedFormBaseline):
        stages = closed_form(made.baseline, member.spec, made.task).stages
    else:
        stages = count_module(own_network(made, member), member.spec.resolution_px, made.task.in_channels).stages
    return {stage.name: StageCount(stage.params, stage.macs) for stage in stages if stage.params or stage.macs}


def own_weights(made: Family, member: Member) -> nn.Module:
    """scalesearch's network with random weights, such that images matter to the logits."""
    px = member.spec.resolution_px
    images = torch.randn(8, made.task.in_channels, px, px, generator=torch.Generator().manual_seed(2))
    return enliven(randomise(own_network(made, member)), images)


def check_all(library: Library, made: Family, folder: Path) -> None:
    """Every member, built in the library: weights and multiply-adds to the digit, stage by stage, and the logits."""
    module = write(library, made, folder)
    for member in made.members:
        own, px = own_weights(made, member), member.spec.resolution_px
        images = torch.randn(2, made.task.in_channels, px, px, generator=torch.Generator().manual_seed(1))
        probe = library.probe(folder, module, member.name, own, images)
        assert probe.stages == wanted(made, member)
        assert (probe.params, probe.macs) == (member.params, member.macs)
        with torch.no_grad():
            logits = own(images)
        assert (logits[0] - logits[1]).abs().max().item() > 1e-2
        assert probe.gap <= 1e-5 * max(1.0, logits.abs().max().item())


def check_classes(name: str) -> None:
    """The files that an export to this library copies are modules of their own; an export is built from copies."""
    package = importlib.import_module(f"scalesearch.export.{name}.classes")
    for found in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"{package.__name__}.{found.name}")
        made = [value for value in vars(module).values() if getattr(value, "__module__", "") == module.__name__]
        assert made, f"{module.__name__} defines nothing"


def check_style(text: str) -> None:
    """The written module is as ruff would have it, by the rules of this package."""
    config = Path(__file__).parent.parent / "pyproject.toml"
    for command in (["check"], ["format", "--check"]):
        asked = [sys.executable, "-m", "ruff", *command, "--no-cache", "--config", str(config)]
        done = subprocess.run(
            [*asked, "--stdin-filename", "made.py", "-"], input=text, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
