"""What the tests of exports share."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from synthetic import study
from torch import nn

from scalesearch.analysis.result import StudyResult
from scalesearch.export import Family, Member, export_family
from scalesearch.export.check.reference import own_network, randomise
from scalesearch.networks.base import Task
from scalesearch.networks.registry import get_baseline
from scalesearch.networks.spec import spec_to_dict
from scalesearch.training.weights import save_weights
from scalesearch.user_code.known import remember


@cache
def case(**changes: object) -> StudyResult:
    return study(**changes)


def family(**changes: object) -> Family:
    return export_family(case(**changes))


def loaded(source: str, name: str = "exported") -> ModuleType:
    module = ModuleType(name)
    sys.modules[name] = module
    exec(compile(source, f"{name}.py", "exec"), module.__dict__)
    return module


def trained(member: Member, of: Family, path: Path, seed: int = 0, **changes: Any) -> nn.Module:
    """A network with weights that say something, saved as `scalesearch train` saves them."""
    network = randomise(own_network(of, member), seed)
    facts = {
        "format": "pt",
        "study": "synthetic",
        "base": of.baseline.name,
        "network": spec_to_dict(member.spec),
        "label": f"phi {member.phi:g}",
        "without": "",
        "phi": member.phi,
        "classes": of.task.num_classes,
        "channels": of.task.in_channels,
        "resolution_px": member.spec.resolution_px,
        "mean": [0.28],
        "std": [0.35],
        "seed": seed,
        "recipe": {"epochs": 3},
        "scored": "test",
        "accuracy": 0.91,
        "val_accuracy": 0.92,
        "best_epoch": 2,
        "versions": {"torch": "2.14.1"},
        **changes,
    }
    text = {name: value if isinstance(value, str) else json.dumps(value) for name, value in facts.items()}
    save_weights(path, network.state_dict(), text)
    return network.eval()


def images_of(member: Member, of: Family, batch: int = 2) -> torch.Tensor:
    px = member.spec.resolution_px
    return torch.randn(batch, of.task.in_channels, px, px, generator=torch.Generator().manual_seed(1))


OWN = """
import torch

def build(depth, width, resolution, num_classes=10, in_channels=1):
    channels = max(1, round(8 * width))
    layers = [torch.nn.Conv2d(in_channels, channels, 3, padding=1), torch.nn.ReLU()]
    for _ in range(max(1, round(2 * depth))):
        layers += [torch.nn.Conv2d(channels, channels, 3, padding=1), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),
                               torch.nn.Linear(channels, num_classes))
"""


def of_a_users_function(folder: Path) -> StudyResult:
    """A study that found a user's own unscaled network; `folder` must be the current one."""
    (folder / "my_own_net.py").write_text(OWN)
    remember(["my_own_net:build"])
    result, task = case(base="my_own_net:build"), Task(10, 1)
    baseline = get_baseline("my_own_net:build", 28)
    macs, params = (baseline.amount(name, baseline.spec, task) for name in ("macs", "params"))
    (budget,) = result.budgets
    assert budget.best is not None
    found = replace(budget.best.network, spec=baseline.spec, macs=macs, params=params)
    budget = replace(budget, best=replace(budget.best, network=found))
    return replace(result, manifest=replace(result.manifest, baseline_macs=macs), budgets=(budget,))


def alone(code: str, *arguments: object, cwd: Path) -> dict[str, Any]:
    """What a fresh Python, which has nothing of the tests', prints as JSON."""
    command = [sys.executable, "-I", "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its content."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
