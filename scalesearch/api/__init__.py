"""The library's front door: a study as Python objects.

    study = scalesearch.load_study("X")
    found = study.best("2x")
    found.coefficients, found.accuracy.ci95, found.advice
    network = found.build(num_classes=100)

Everything is read from the study's folder when the study is loaded or a property is first read; nothing is trained and
nothing is written but by `Study.export`. torch loads with the first network that is built.
"""

from __future__ import annotations

from pathlib import Path

from scalesearch.api.network import Accuracy, FoundNetwork
from scalesearch.api.study import Study
from scalesearch.errors import StudyError
from scalesearch.study import DEFAULT_ROOT, StudyPaths, find_study
from scalesearch.study import list_studies as study_folders

__all__ = ["Accuracy", "FoundNetwork", "Study", "list_studies", "load_study"]


def load_study(name: str | Path, studies_dir: str | Path = DEFAULT_ROOT) -> Study:
    """A study, finished or not, as it is on the disk now; load it again to see what was trained since.

    Args:
        name: of a study in `studies_dir`, or the path of a study's folder: a `Path`, or text with a slash.
        studies_dir: folder that holds the studies.

    Raises:
        UnknownNameError: no study of this name (the nearest is suggested, and all are named).
        UsageError: a name that no study can have.
        StudyError: no study at this path, none at all in `studies_dir`, or one that this version cannot read.
    """
    if isinstance(name, str) and "/" not in name and "\\" not in name:
        return Study(find_study(name, Path(studies_dir).expanduser()))
    paths = StudyPaths(Path(name).expanduser().absolute())
    if not paths.definition.is_file():
        raise StudyError(f"there is no study in {str(name)!r}: it has no {paths.definition.name}")
    return Study(paths)


def list_studies(studies_dir: str | Path = DEFAULT_ROOT) -> tuple[str, ...]:
    """Names of the studies in a folder, sorted; none where there is no such folder.

    Example:
        >>> list_studies("no/such/folder")
        ()
    """
    return tuple(paths.name for paths in study_folders(Path(studies_dir).expanduser()))
