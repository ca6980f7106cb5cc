"""Is an export the network that was found? Asked in a fresh process, of files that nobody has seen yet."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import scalesearch
from scalesearch.errors import MissingExtraError
from scalesearch.export.library import CheckError, Family, Library
from scalesearch.networks.base import Baseline
from scalesearch.networks.user.function import UserBaseline
from scalesearch.user_code.importing import import_folder

_CHILD = (
    "import sys; sys.path.append(sys.argv[1]); from scalesearch.export.check.child import main; main(*sys.argv[2:])"
)


@dataclass(frozen=True)
class Request:
    """What the fresh process is asked.

    Attributes:
        library: a key of `LIBRARIES`.
        folder: of the export.
        weights: member's name -> file of scalesearch's own weights, where an export carries trained ones.
        code: folder that a user's own module is imported from; None for other baselines.
    """

    library: str
    folder: Path
    family: Family
    weights: Mapping[str, Path]
    code: Path | None = None


@dataclass(frozen=True, slots=True)
class Checked:
    """What one builder gave in its library, and it is what was found.

    Attributes:
        params: trainable weights as built; None where the files do not tell.
        macs: multiply-adds counted there; None where they cannot be counted.
        gap: largest difference of a logit with the same weights; None where weights cannot be mapped.
        largest: the largest logit of scalesearch's own network.
        note: what a reader must know of these numbers.
    """

    phi: float
    name: str
    params: int | None
    macs: int | None
    gap: float | None
    largest: float
    note: str


@dataclass(frozen=True, slots=True)
class Check:
    """All builders of an export.

    Attributes:
        library: the module that built them.
        version: of it.
    """

    library: str
    version: str
    builders: tuple[Checked, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for `card.json`."""
        return asdict(self) | {"builders": [asdict(one) for one in self.builders]}


def check_installed(library: Library) -> None:
    """Refuse to begin a check where the library is missing.

    Raises:
        MissingExtraError: naming the extra, and that an export can be written without it.
    """
    if library.needs and importlib.util.find_spec(library.needs) is None:
        purpose = f"checking an export to {library.name} (--no-check writes without checking)"
        raise MissingExtraError(library.needs, library.extra, purpose)


def check_export(library: Library, family: Family, folder: Path, weights: Mapping[str, Path]) -> Check:
    """Import what was written in a fresh process, build every member, count it and compare logits.

    Raises:
        CheckError: a member that cannot be built, or that is not the network found.
    """
    trained = {name: path.resolve() for name, path in weights.items()}
    request = Request(library.name, folder.resolve(), family, trained, code_folder(family.baseline))
    found = _asked(request)
    if "error" in found:
        raise CheckError(found["error"])
    return Check(library.needs, version_of(library), tuple(Checked(**one) for one in found["builders"]))


def code_folder(baseline: Baseline) -> Path | None:
    """The folder from which a user's own module is imported; None where there is none."""
    if not isinstance(baseline, UserBaseline):
        return None
    found = import_folder(baseline.call.reference.partition(":")[0])
    return found.resolve() if found else None


def version_of(library: Library) -> str:
    """Version of the library that is installed; empty where it is not, or where none is needed."""
    names = importlib.metadata.packages_distributions().get(library.needs, ())
    return importlib.metadata.version(names[0]) if names else ""


def _asked(request: Request) -> dict[str, Any]:
    """The answer of a process whose path holds neither the current folder nor anything of the caller's."""
    package = Path(scalesearch.__file__).parent.parent
    with tempfile.TemporaryDirectory() as place:
        asked, answer = Path(place) / "request", Path(place) / "answer.json"
        asked.write_bytes(pickle.dumps(request))  # to a child of this process, as multiprocessing does
        command = [sys.executable, "-P", "-B", "-c", _CHILD, str(package), str(asked), str(answer)]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        if not answer.is_file():
            last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise CheckError(f"the check of {request.library} ended with exit code {done.returncode}: {last}")
        found: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
        return found
