"""`--to python`: one module that needs torch alone."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scalesearch.export.library import Family, Library, LibraryProbe, Member
from scalesearch.export.python.module import own_baseline, python_module

if TYPE_CHECKING:
    from torch import Tensor, nn


class PythonLibrary(Library):
    """scalesearch's own definitions, taken out of it."""

    name = "python"
    needs = "torch"

    def files(self, family: Family) -> dict[str, str]:
        """The one module."""
        return {f"{family.name}.py": python_module(family)}

    def check(self, family: Family) -> None:
        """Refuse a baseline whose source is not scalesearch's own."""
        own_baseline(family.baseline)

    def own_names(self, member: Member, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The same names."""
        return dict(state)

    def probe(self, folder: Path, module: str, builder: str, own: nn.Module, images: Tensor) -> LibraryProbe:
        """Build where scalesearch cannot be imported, then count and compare."""
        from scalesearch.export.check.torch_probe import compare, import_file

        with hidden("scalesearch"):
            network = getattr(import_file(folder, module), builder)(classes_of(own, images), images.shape[1])
        return compare(network, own, images, own.state_dict())


def classes_of(own: nn.Module, images: Tensor) -> int:
    """How many logits a network gives."""
    import torch

    with torch.no_grad():
        classes: int = own(images[:1]).shape[1]
    return classes


@contextmanager
def hidden(package: str) -> Iterator[None]:
    """Meanwhile nothing of `package` can be imported, not even what is loaded already."""
    loaded: dict[str, Any] = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == package}
    for name in loaded:
        sys.modules[name] = None  # type: ignore[assignment]  # import then raises ModuleNotFoundError
    try:
        yield
    finally:
        sys.modules.update(loaded)
