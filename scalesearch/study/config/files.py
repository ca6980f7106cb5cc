"""Study definitions in TOML files, and those that come with scalesearch."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w

from scalesearch.environment.waiting import doing
from scalesearch.errors import ConfigError, StudyError, choice_error
from scalesearch.study.config.definition import StudyConfig, config_from_dict

MOST_BYTES = 10_000_000
"""More than the `study.toml` of any study has."""


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file; a pipe is waited for.

    Raises:
        StudyError: missing or unreadable.
        ConfigError: not TOML, or larger than any definition.
    """
    try:
        with doing(f"reading {path}"), path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise ConfigError(f"{path} is not a study definition: it has more than {MOST_BYTES:,} bytes")
        return tomllib.loads(content.decode("utf-8"))
    except RecursionError:
        raise ConfigError(f"{path} is not a study definition: its lists are too deep to be read") from None
    except ValueError as error:  # also of a number of too many digits
        raise ConfigError(f"{path} is not a TOML file: {error}") from None
    except OSError as error:
        raise StudyError(f"study file {str(path)!r} cannot be read: {error.strerror}") from None


def load_config(path: Path) -> StudyConfig:
    """Read a study definition from a TOML file; a finished study's own `study.toml` is one too.

    Raises:
        ConfigError: a value is wrong, or it has several baselines.
    """
    values = read_toml(path)
    values.pop("made", None)
    if isinstance(several := values.get("base"), list) and several:
        if len(several) > 1:
            told = f"{path} has {len(several)} baselines ({', '.join(map(str, several))}), one study each"
            raise ConfigError(f"{told}; allowed here: one baseline")
        values["base"] = several[0]
    return config_from_dict(values, source=str(path))


def definitions() -> dict[str, Path]:
    """The study definitions that come with scalesearch, by name: in the wheel, or in the checkout's `studies/`."""
    package = Path(__file__).parents[2]
    folder = package / "studies" if (package / "studies").is_dir() else package.parent / "studies"
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except OSError:  # a name longer than the file system takes
        return False


def definition_path(text: str) -> Path:
    """The file of a definition: by the name of one that comes with scalesearch, or by the path of a TOML file.

    Raises:
        UnknownNameError: neither.
    """
    known = definitions()
    if text in known:
        return known[text]
    if text.endswith(".toml") or _is_file(text):
        return Path(text)
    raise choice_error("study definition", text, [*known, "PATH.toml"])


def load_definition(text: str) -> StudyConfig:
    """A definition of one baseline by its name or path; see `definition_path`."""
    return load_config(definition_path(text))


def dump_toml(values: Mapping[str, Any]) -> str:
    """TOML text of a plain mapping."""
    return tomli_w.dumps(dict(values))
