"""What every exporter is given and what it gives back: a family of networks in, files and counted builders out."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from scalesearch.environment.files import write_atomic
from scalesearch.errors import ScaleSearchError, UsageError, choice_error
from scalesearch.networks.base import Baseline, Task
from scalesearch.networks.configured import ConfiguredBaseline
from scalesearch.networks.spec import NetworkSpec
from scalesearch.networks.timm.adapter import TimmBaseline
from scalesearch.networks.user.function import FunctionBaseline, UserBaseline
from scalesearch.training.weights import Weights, save_weights

if TYPE_CHECKING:
    from torch import Tensor, nn

Parts = TypeVar("Parts")


class InexpressibleError(ScaleSearchError):
    """A network that a library cannot build; the message names the stage and what would do instead.

    Args:
        library: as `--to` names it.
        network: name of the member.
        stage: that is the reason; empty where it is the whole network.
        why: the rest of the sentence about the stage, or all of it.
        written: whether the network can be written as Python source.
        timm: whether timm can build it.
    """

    def __init__(
        self, library: str, network: str, stage: str, why: str, *, written: bool = True, timm: bool = False
    ) -> None:
        others = [*(["python"] if written else []), *(["timm"] if timm else []), "onnx", "torch-export"]
        super().__init__(
            f"{library} cannot build {network}: {f'stage {stage} ' if stage else ''}{why}; allowed: "
            f"--to {', '.join(others)} or json, which have every network of this baseline"
        )


class RefusedError(Exception):
    """A stage, and why in a few words; `member_parts` makes an `InexpressibleError` of it, which names the network."""

    def __init__(self, stage: str, why: str) -> None:
        super().__init__(stage, why)
        self.stage, self.why = stage, why


def refuse(*conditions: tuple[bool, str, str]) -> None:
    """Refuse on the first (condition, stage, why) that holds.

    Raises:
        RefusedError: one holds.
    """
    for wrong, stage, why in conditions:
        if wrong:
            raise RefusedError(stage, why)


class CheckError(ScaleSearchError):
    """An export that does not build what the study found; the message names the network, the stage and both numbers."""


@dataclass(frozen=True, slots=True)
class Member:
    """One network of an exported family.

    Attributes:
        phi: compound coefficient; 0 is the baseline, 1 the network found.
        name: of its builder: a Python identifier, and the name of the timm model.
        macs: multiply-adds for one image, at `spec.resolution_px`.
        params: trainable weights.
        mark: what is known of it: `baseline`, `found`, `interpolated`, `extrapolated`, `verified: leads` ...
    """

    phi: float
    name: str
    spec: NetworkSpec
    macs: int
    params: int
    mark: str

    @property
    def extrapolated(self) -> bool:
        """Whether nothing was searched that large (or that small), or verified there."""
        return self.mark.startswith("extrapolated")


@dataclass(frozen=True)
class Family:
    """The networks of one export.

    Attributes:
        name: a Python identifier that every member's name starts with; the stem of the module's file.
        baseline: with the family's config; `baseline.build(spec, task)` makes scalesearch's own network.
        task: classes and input channels.
        members: by phi.
        heading: what was found and how sure it is, plain sentences for the docstring of a module: no backslash, no
            double quote, lines of at most 110 characters.
        card: the whole record, ready for JSON.
        normalisation: mean and standard deviation of pixel/255 by channel that exported weights were trained with; None
            where no weights are exported.
    """

    name: str
    baseline: Baseline
    task: Task
    members: tuple[Member, ...]
    heading: str
    card: Mapping[str, Any]
    normalisation: tuple[tuple[float, ...], tuple[float, ...]] | None = None

    @property
    def main(self) -> Member:
        """The network found, where it is a member; else the one of the largest phi."""
        return next((member for member in self.members if member.phi == 1), self.members[-1])


WHOLE = "whole"
"""The one stage of a probe that cannot tell stages; it is compared with the sum of all."""


@dataclass(frozen=True, slots=True)
class StageCount:
    """What one stage of a built network has; None where it cannot be counted."""

    params: int | None
    macs: int | None


@dataclass(frozen=True)
class LibraryProbe:
    """What a builder gave when it was called in the target library.

    Attributes:
        stages: stage (`stem`, `0`, `1` ..., `head`, as scalesearch's own networks name them) -> its counts. They sum to
            the whole network; trainable weights only, so Keras' and other libraries' running statistics are left out.
            Where stages cannot be told apart, the one stage `WHOLE`.
        gap: largest |logit of the library - logit of scalesearch's own network| with the same weights in both, in eval
            mode; None where weights cannot be mapped.
        note: what a reader must know of the counts, such as weights that the library counts beside these; one sentence.
    """

    stages: Mapping[str, StageCount]
    gap: float | None
    note: str = ""

    @property
    def params(self) -> int | None:
        """Trainable weights of the whole network; None where any stage's cannot be counted."""
        return _sum(stage.params for stage in self.stages.values())

    @property
    def macs(self) -> int | None:
        """Multiply-adds of the whole network; None where any stage's cannot be counted."""
        return _sum(stage.macs for stage in self.stages.values())


def _sum(counts: Iterable[int | None]) -> int | None:
    known = list(counts)
    return None if None in known else sum(count for count in known if count is not None)


def member_parts(
    library: str, family: Family, families: Mapping[str, Callable[[Any, NetworkSpec], Parts]], lacks: str
) -> dict[str, Parts]:
    """What a library's table of families makes of each member, by the member's name.

    Args:
        library: as `--to` names it.
        family: whose config chooses the row of the table.
        families: class of a family's config -> what it makes of config and spec, or refuses.
        lacks: what to say of the first stage of a network of scalesearch's own that is in no row.

    Raises:
        InexpressibleError: a network that the library cannot build.
    """
    baseline, parts = family.baseline, {}
    config = baseline.config if isinstance(baseline, ConfiguredBaseline) else None
    row = families.get(type(config).__name__)
    if row is None:
        raise _foreign(library, family, lacks)
    for member in family.members:
        try:
            parts[member.name] = row(config, member.spec)
        except RefusedError as refusal:
            raise InexpressibleError(library, member.name, refusal.stage, refusal.why) from None
    return parts


def _foreign(library: str, family: Family, lacks: str) -> InexpressibleError:
    """The error for a network that is in no row of a library's table."""
    baseline, network = family.baseline, family.members[0].name
    if isinstance(baseline, ConfiguredBaseline):
        return InexpressibleError(library, network, "stem", lacks)
    own = isinstance(baseline, UserBaseline)
    kind = "function" if isinstance(baseline, FunctionBaseline) else "class"
    whose = f"a {kind} of your own" if own else "a network of another library"
    why = f"{whose} cannot be written in {library}'s layers"
    known = own or isinstance(baseline, TimmBaseline)
    return InexpressibleError(library, network, "", why, written=known, timm=known and library != "timm")


class Library(ABC):
    """One target of `scalesearch export --to`.

    Attributes:
        name: as the command line writes it.
        needs: the module that must be importable to check an export; empty where nothing is.
        extra: the extra of scalesearch that brings it.
        builds: whether there is anything to build, and so to check.
        carries_weights: whether the files hold weights of their own; then the check compares with these, not with
            random ones.
        tolerance: how far logits may differ, as a part of the largest of them, or of 1 where that is more.
        phis: members that are exported where no others are asked for.
    """

    name: ClassVar[str]
    needs: ClassVar[str] = ""
    extra: ClassVar[str] = ""
    builds: ClassVar[bool] = True
    carries_weights: ClassVar[bool] = False
    tolerance: ClassVar[float] = 1e-5
    phis: ClassVar[tuple[float, ...]] = (0.0, 1.0)

    @abstractmethod
    def files(self, family: Family) -> dict[str, str]:
        """Name of each file in the export folder -> its text, without importing the library.

        One of them is `<family.name>.py`, the module to import, which has one builder for each member, called by the
        member's name (a function of the module; for timm also registered under that name).

        Raises:
            InexpressibleError: a network that the library cannot build.
        """

    def module(self, family: Family) -> str | None:
        """The file of the export to import; None where there is none."""
        return f"{family.name}.py"

    def usage(self, family: Family) -> str:
        """Lines of Python that build a member of the export, for its card."""
        return f"import {family.name}\n\nnetwork = {family.name}.{family.main.name}()"

    def write(self, folder: Path, family: Family, weights: Mapping[str, Weights]) -> None:
        """Put everything but the card into a new folder.

        Args:
            folder: empty.
            family: what is exported.
            weights: member's name -> trained weights of scalesearch's own network.

        Raises:
            InexpressibleError: a network that the library cannot build.
            UsageError: weights that it cannot take.
        """
        for name, text in self.files(family).items():
            write_atomic(folder / name, text)
        for member in family.members:
            if found := weights.get(member.name):
                path = folder / f"{member.name}.safetensors"
                save_weights(path, self.own_names(member, found.state), found.metadata)

    def texts(self, card: Mapping[str, Any], text: str) -> dict[str, str]:
        """Files that say again what the card says, which is known last: name -> content.

        Args:
            card: the content of `card.json`, but for the hashes.
            text: the content of `card.md`.
        """
        return {}

    def own_names(self, member: Member, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The weights of scalesearch's own network under the names that the library gives them.

        Raises:
            UsageError: the library's names are not known.
        """
        raise UsageError(
            f"weights cannot be written for {self.name}: its names and layouts are not known; allowed: --to python, "
            "which keeps scalesearch's own names, another library, or no --weights"
        )

    def check(self, family: Family) -> None:
        """Refuse what the library cannot express, as `files` does, without writing anything.

        Raises:
            InexpressibleError: naming the stage.
        """
        self.files(family)

    @abstractmethod
    def probe(self, folder: Path, module: str, builder: str, own: nn.Module, images: Tensor) -> LibraryProbe:
        """Build one member in the library and compare; called in a fresh process, where the library is installed.

        Args:
            folder: of the export.
            module: name of the file in it to import, without `.py`; empty where there is none.
            builder: name of the member.
            own: scalesearch's network of this member, in eval mode, with random weights and running statistics.
            images: float32 [N, in_channels, resolution_px, resolution_px].
        """


LIBRARIES: dict[str, tuple[str, str]] = {
    "timm": ("scalesearch.export.timm.library", "TimmLibrary"),
    "torchvision": ("scalesearch.export.torchvision.library", "TorchvisionLibrary"),
    "keras": ("scalesearch.export.keras.library", "KerasLibrary"),
    "transformers": ("scalesearch.export.transformers.library", "TransformersLibrary"),
    "pycls": ("scalesearch.export.pycls.library", "PyclsLibrary"),
    "python": ("scalesearch.export.python.library", "PythonLibrary"),
    "json": ("scalesearch.export.json_card", "JsonLibrary"),
    "onnx": ("scalesearch.export.onnx", "OnnxLibrary"),
    "torch-export": ("scalesearch.export.torch_export", "TorchExportLibrary"),
    "hub-folder": ("scalesearch.export.hub", "HubLibrary"),
}
"""Name -> module and class."""

OTHERS_SOURCES: dict[tuple[str, type[Baseline]], tuple[str, str]] = {
    ("timm", UserBaseline): ("scalesearch.export.timm.user", "UserTimmLibrary"),
    ("python", UserBaseline): ("scalesearch.export.python.user", "UserPythonLibrary"),
    ("python", TimmBaseline): ("scalesearch.export.python.timm", "TimmPythonLibrary"),
}
"""The same where a network's source is a user's or timm's own, and is called instead of written."""


def get_library(name: str, baseline: Baseline | None = None) -> Library:
    """The target called `name`.

    Args:
        baseline: of what is exported, where that is known.

    Raises:
        UnknownNameError: no such target; the message lists them all.
    """
    if name not in LIBRARIES:
        raise choice_error("library", name, LIBRARIES)
    own = (place for (to, kind), place in OTHERS_SOURCES.items() if to == name and isinstance(baseline, kind))
    module, attribute = next(own, LIBRARIES[name])
    library: Library = getattr(importlib.import_module(module), attribute)()
    return library
