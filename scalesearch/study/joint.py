"""Several studies under one definition: `base` is a list, and every baseline gets a study of its own.

They are `NAME-BASE`, each a whole study that can be resumed, shown and verified alone; together they are compared under
`NAME`. Nothing else is kept of the joint run, so that a cluster can train each of them somewhere else.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from scalesearch.errors import ConfigError, StudyError, UnknownNameError
from scalesearch.study.again import differences
from scalesearch.study.config import StudyConfig, check_study_name, config_from_dict, definition_path, read_toml
from scalesearch.study.finding import exists, find_study, list_studies
from scalesearch.study.folder import StudyPaths, joint_name
from scalesearch.study.made import load_manifest
from scalesearch.study.server.address import Server


@dataclasses.dataclass(frozen=True, slots=True)
class Definition:
    """A study definition as a file writes it.

    Attributes:
        name: of the file, without its ending.
        config: for the first baseline.
        bases: all baselines where `base` is a list; else empty.
        studied: whether it is the `study.toml` of a study, which may be somebody else's.
    """

    name: str
    config: StudyConfig
    bases: tuple[str, ...] = ()
    studied: bool = False


def read_definition(text: str) -> Definition:
    """A definition by name or path, of one baseline or of several.

    Raises:
        UnknownNameError: no such definition.
        ConfigError: an unknown key, a value outside its range, or a list of baselines that is empty or repeats one.
    """
    path = definition_path(text)
    values = read_toml(path)
    studied = values.pop("made", None) is not None
    if isinstance(values.get("data"), list):
        raise ConfigError(
            f"{path} is the definition of an atlas, which has several data sets; run it by: "
            f"scalesearch atlas run --definition {text}"
        )
    bases = values.get("base")
    if not isinstance(bases, list):
        return Definition(path.stem, config_from_dict(values, str(path)), studied=studied)
    configs = [config_from_dict({**values, "base": base}, str(path)) for base in bases]
    if not bases or len(set(bases)) < len(bases):
        raise ConfigError(f"base is {bases!r} in {path}; allowed: a baseline, or a list with each one once")
    return Definition(path.stem, configs[0], tuple(bases), studied)


def joint_paths(name: str, base: str, root: Path, storage: Server | None = None) -> StudyPaths:
    """The study of one baseline of a joint definition.

    Raises:
        UsageError: a name that no study can have.
    """
    paths = StudyPaths(root / joint_name(check_study_name(name), base), storage)
    return find_study(paths.name, root, storage) if paths.there else paths


def joint_definitions(definition: Definition, name: str | None) -> list[tuple[StudyConfig, str]]:
    """The definition of each baseline's study, with the study's name.

    Args:
        name: that the names begin with; None takes the definition's.

    Raises:
        UsageError: a name that no study can have.
    """
    first = check_study_name(name or definition.name)
    configs = (dataclasses.replace(definition.config, base=base) for base in definition.bases)
    return [(config, joint_name(first, config.base)) for config in configs]


def check_same_definition(paths: StudyPaths, config: StudyConfig) -> None:
    """Refuse to go on with a study that was made under another definition; a study that is not there is fine.

    Raises:
        StudyError: naming what differs, with both values.
    """
    if not exists(paths):
        return
    manifest = load_manifest(paths)
    differing = differences(manifest.config, config, manifest.device)
    if differing:
        raise StudyError(
            f"study {paths.name!r} exists and was made otherwise: {'; '.join(differing)}; "
            "give the same options to go on with it, or another --name"
        )


def find_joint(name: str, root: Path, storage: Server | None = None) -> list[StudyPaths]:
    """The studies that a name stands for: the one called so, else those of a joint run.

    Raises:
        UnknownNameError: neither (near matches are suggested).
        StudyError: its folder says another place than `storage`.
        StorageError: the server cannot be used.
    """
    try:
        return [find_study(name, root, storage)]
    except UnknownNameError:
        found = [paths for paths in list_studies(root, storage) if _is_part(paths, name)]
        if not found:
            raise
        return found


def _is_part(paths: StudyPaths, name: str) -> bool:
    return paths.name.startswith(name[:40]) and paths.name == joint_name(name, load_manifest(paths).config.base)
