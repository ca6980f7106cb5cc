"""What may come next on a command line: names of studies, baselines, definitions and kinds; nothing heavy is loaded.

A shell asks at every press of a key, so what would take a second to import is looked up in another way: the closed
lists stand here, and tests hold them against what they are of.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import typer

import scalesearch

KINDS = (
    "pareto", "simplex", "surface", "law", "curves", "rates", "verdict", "fidelity", "staircase", "budget", "compare",
)  # fmt: skip
LIBRARIES = (
    *("timm", "torchvision", "keras", "transformers", "pycls", "python", "json", "onnx", "torch-export", "hub-folder"),
)
SAMPLERS = ("surface", "lattice", "star", "grid", "random", "qmc", "tpe", "gp")
CURRENCIES = ("macs", "params", "activations", "latency", "memory")
PRUNERS = ("none", "halving", "hyperband", "wilcoxon")
ROUNDINGS = ("proportional", "official", "round")
OPTIMIZERS = ("auto", "sgd", "adamw", "rmsprop")
AUGMENTATIONS = ("none", "flip", "shift", "flip+shift", "flip+crop")
LOGS = ("tensorboard", "wandb", "trackio")
DATA = ("fashion-mnist-mini", "fashion-mnist", "cifar10", "cifar100", "folder:", "npz:")
OF_STUDIES = ("study.toml", "study.db", "study.backup.db", "storage.toml")
"""Files of which each makes a folder that of a study."""

Completer = Callable[[str], list[str]]


def one_of(names: Iterable[str]) -> Completer:
    """Completes to one of these."""
    known = tuple(names)

    def complete(incomplete: str) -> list[str]:
        return [name for name in known if name.startswith(incomplete)]

    return complete


def studies(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of the studies in the folder that the line names; of one in a path the shell knows more."""
    given = ctx.params.get("studies_dir") or os.environ.get("SCALESEARCH_STUDIES") or "studies"
    try:
        found = sorted(path.name for path in Path(given).iterdir() if any((path / own).is_file() for own in OF_STUDIES))
    except OSError:
        return []
    return [name for name in found if name.startswith(incomplete)]


def baselines(incomplete: str) -> list[str]:
    """Names of the built-in baselines."""
    from scalesearch.networks.registry import BASELINES

    return one_of([*BASELINES, "timm:"])(incomplete)


def definitions(incomplete: str) -> list[str]:
    """Names of the definitions that come with scalesearch."""
    package = Path(scalesearch.__file__).parent
    folder = package / "studies" if (package / "studies").is_dir() else package.parent / "studies"
    return one_of(sorted(path.stem for path in folder.glob("*.toml")))(incomplete)


def baselines_or_studies(ctx: typer.Context, incomplete: str) -> list[str]:
    """What `scale` takes."""
    return [*baselines(incomplete), *studies(ctx, incomplete)]
