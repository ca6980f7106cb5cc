"""The library's front door: a study as Python objects.

    study = scalesearch.load_study("X")
    found = study.best("2x")
    study.answer("2x").todo, found.coefficients, found.accuracy.ci95
    network = found.build(num_classes=100)

Everything is read from the study's folder, or from its server, when the study is loaded or a property is first read;
nothing is trained and nothing is written but by `Study.export`. torch loads with the first network that is built.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from scalesearch.api.atlas_rows import Atlas, atlas
from scalesearch.api.network import Accuracy, FoundNetwork
from scalesearch.api.study import Study
from scalesearch.networks.base import Task
from scalesearch.networks.registry import get_baseline
from scalesearch.networks.spec import NetworkSpec
from scalesearch.study import DEFAULT_ROOT, StudyPaths, find_study
from scalesearch.study import list_studies as studies_of
from scalesearch.study.finding import agreed, study_at
from scalesearch.study.server.address import asked_server
from scalesearch.study.trust import trust as allow

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Accuracy", "Atlas", "FoundNetwork", "Study", "atlas", "build_network", "list_studies", "load_study"]


def load_study(
    name: str | Path, studies_dir: str | Path = DEFAULT_ROOT, *, trust: bool = False, storage: str | None = None
) -> Study:
    """A study, finished or not, as it is on the disk or in its server now; load it again to see what came since.

    Args:
        name: of a study in `studies_dir`, or the path of a study's folder: a `Path`, or text with a slash.
        studies_dir: folder that holds the studies.
        trust: let code run that the study names and that you have not run from here; it may be somebody else's, and
            is imported when a network is built. Asked once.
        storage: address of a server that holds studies, as `--storage` takes it; None takes SCALESEARCH_STORAGE's. A
            study that has a folder stays where that folder says.

    Raises:
        UnknownNameError: no study of this name (the nearest is suggested, and all are named), or at this path.
        UsageError: a name that no study can have, or an address that is none.
        StudyError: one whose folder says another place than `storage`, or that this version cannot read.
        StorageError: the server cannot be used.
    """
    server = asked_server(storage)
    root = Path(studies_dir).expanduser()
    found = agreed(study_at(name), server) if isinstance(name, Path) else find_study(name, root, server)
    return _opened(StudyPaths(found.folder.absolute(), found.given), trust)


def _opened(paths: StudyPaths, trust: bool) -> Study:
    if trust:
        allow(paths)
    return Study(paths)


def list_studies(studies_dir: str | Path = DEFAULT_ROOT, *, storage: str | None = None) -> tuple[str, ...]:
    """Names of the studies in a folder, sorted; none where there is no such folder.

    Args:
        studies_dir: folder that holds the studies.
        storage: address of a server, to name the studies that it holds; as in `load_study`.

    Raises:
        UsageError: an address that is none.
        StorageError: the server cannot be used.

    Example:
        >>> list_studies("no/such/folder")
        ()
    """
    return tuple(paths.name for paths in studies_of(Path(studies_dir).expanduser(), asked_server(storage)))


def build_network(
    base: str,
    *,
    depths: Sequence[int],
    widths: Sequence[int],
    resolution: int,
    num_classes: int,
    in_channels: int,
    stem: int = 0,
    head: int = 0,
    dropout: float | None = None,
    stochastic_depth: float | None = None,
) -> nn.Module:
    """A network of a built-in or `timm:` baseline from its whole numbers; what `FoundNetwork.call` writes out.

    Args:
        base: as `--base` takes it.
        depths: blocks of each stage.
        widths: channels of each stage, as its family counts them: output channels (EfficientNet), inner channels
            (ResNet), growth rate (DenseNet), channels of the MLP (ViT).
        resolution: side of the square image, in pixels.
        num_classes: outputs of the classifier.
        in_channels: of the image.
        stem: channels after the stem, where the baseline has one.
        head: channels before the classifier, where the baseline has them.
        dropout: before the classifier, 0 to 1; None takes the family's own.
        stochastic_depth: rate that the deepest blocks approach, 0 to 1; None takes the family's own.

    Returns:
        Module from float32 [N, in_channels, resolution, resolution] to logits [N, num_classes], in train mode; its new
        weights are drawn from torch's global generator.

    Raises:
        UnknownNameError: no such baseline.
        UsageError: a number of stages, a rate or a task outside its range.
        InfeasibleError: a resolution under the baseline's smallest.
    """
    baseline = get_baseline(base)
    spec = NetworkSpec(tuple(depths), tuple(widths), resolution, stem, head, baseline.spec.unit)
    return baseline.build(spec, Task(num_classes, in_channels), dropout=dropout, stochastic_depth=stochastic_depth)
