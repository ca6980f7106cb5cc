"""What a training may leave behind in its process, where the next one would find it: settings, functions, a folder."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

MOST_NAMED = 3
"""Differences that are told by name."""

CUDNN = ("enabled", "benchmark", "deterministic", "allow_tf32")
HOOKS = re.compile("_global_.*_hooks$")

COMPILER = ("_dynamo", "_inductor", "_functorch")
"""Folders of torch's compiler."""

OF_TORCH = ("TORCH", "_TORCH", "TRITON", "CUDA_MODULE_LOADING", "KMP_", "OMP_")
"""How variables begin that libraries set for themselves."""


class Traces:
    """The state of this process that trainings share, as it is now.

    Names that come new are no difference: libraries load parts of themselves when they are first used.
    """

    def __init__(self) -> None:
        self._settings = _settings()
        self._owners = _owners()
        self._functions = {name: dict(vars(owner)) for name, owner in self._owners.items()}

    def differences(self) -> list[str]:
        """What is not as it was, by name."""
        return [*_changed(self._settings, _settings()), *self._replaced()]

    def _replaced(self) -> Iterator[str]:
        """Functions and classes that are others now, or gone, and not by torch itself."""
        for owner, functions in self._functions.items():
            now = vars(self._owners[owner])
            for name, function in functions.items():
                if now.get(name) is not function and not _of_torch(name, now.get(name)):
                    yield f"{owner}.{name}"


def listed(differences: list[str]) -> str:
    """Some differences in a few words.

    Example:
        >>> listed(["a", "b"]), listed(["a", "b", "c", "d", "e"])
        ('a and b', 'a, b, c and 2 more')
    """
    shown = differences[:MOST_NAMED]
    left = len(differences) - len(shown)
    shown += [f"{left} more"] if left else []
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def _of_torch(name: str, function: Any) -> bool:
    """Whether torch has put a function of its own there, as its compiler does when it is first used."""
    import torch

    code = getattr(function, "__code__", None)
    if code is None or not code.co_filename.startswith(f"{Path(torch.__file__).parent}{os.sep}"):
        return False
    return function.__name__ == name or any(f"{os.sep}{part}{os.sep}" in code.co_filename for part in COMPILER)


def _owners() -> dict[str, Any]:
    """What holds the functions that a network or its training may call."""
    import torch

    return {
        "torch": torch,
        "torch.random": torch.random,
        "torch.Tensor": torch.Tensor,
        "torch.nn": torch.nn,
        "torch.nn.Module": torch.nn.Module,
        "torch.nn.functional": torch.nn.functional,
        "torch.nn.init": torch.nn.init,
        "torch.optim": torch.optim,
        "torch.optim.Optimizer": torch.optim.Optimizer,
    }


def _settings() -> dict[str, Any]:
    import torch
    from torch.nn.modules import module

    return {
        "the working directory": _folder(),
        "the default dtype": torch.get_default_dtype(),
        "the default device": torch.get_default_device(),
        "the number of threads": torch.get_num_threads(),
        "whether gradients are kept": torch.is_grad_enabled(),
        "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        "the precision of matrix products": torch.get_float32_matmul_precision(),
        "cuDNN's switches": tuple(getattr(torch.backends.cudnn, name) for name in CUDNN),
        "hooks of all modules": tuple(tuple(hooks) for name, hooks in vars(module).items() if HOOKS.match(name)),
        **{f"the variable {name}": value for name, value in os.environ.items() if not name.startswith(OF_TORCH)},
    }


def _folder() -> str:
    try:
        return str(Path.cwd())
    except OSError:
        return ""


def _changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for name in dict.fromkeys([*before, *now]):
        if before.get(name) != now.get(name):
            yield name
