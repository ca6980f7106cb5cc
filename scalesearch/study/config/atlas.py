"""The definition of an atlas: several baselines on several data sets, each pair a study of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scalesearch.errors import ConfigError, UsageError, choice_error
from scalesearch.study.config.definition import StudyConfig, config_from_dict, unknown_key
from scalesearch.study.config.files import definition_path, read_toml

DEFINITION = "atlas"
"""The one that comes with scalesearch."""


@dataclass(frozen=True, slots=True)
class AtlasStudy:
    """One baseline on one data set, at every budget of the atlas.

    Attributes:
        data: the name of the data in the atlas; `config.data` says where it is.
    """

    atlas: str
    base: str
    data: str
    config: StudyConfig

    @property
    def name(self) -> str:
        """What the study is called."""
        return f"{self.atlas}-{self.base}-{self.data}".replace("_", "-")


@dataclass(frozen=True, slots=True)
class AtlasDefinition:
    """What an atlas is made of.

    Attributes:
        studies: every baseline on every data set, in the order in which they are run.
        budgets: of each, in the order in which they are run.
        top: leaders of each search that are trained again on new seeds.
        seeds: new trainings of each of them, of the references and of the baseline.
    """

    name: str
    studies: tuple[AtlasStudy, ...]
    budgets: tuple[str, ...]
    top: int
    seeds: int


def read_atlas(text: str = DEFINITION, places: Mapping[str, str] | None = None) -> AtlasDefinition:
    """The definition of an atlas by name or path.

    Args:
        places: name of a data set -> data SPEC that says where it is here.

    Raises:
        UnknownNameError: there is no such definition, or a place is given for data that the atlas does not have.
        ConfigError: an unknown key, a value outside its range, or no list of baselines and of data sets.
    """
    path = definition_path(text)
    values = read_toml(path)
    bases, datas = (_names(values.pop(key, None), key, str(path)) for key in ("base", "data"))
    top, seeds = _verify(values.pop("verify", {}), str(path))
    places = places or {}
    for name in places:
        if name not in datas:
            raise choice_error("data set of the atlas", name, datas)
    studies = tuple(
        AtlasStudy(path.stem, base, data, config_from_dict({**values, "base": base, "data": spec}, str(path)))
        for data in datas
        for spec in [places.get(data, data)]
        for base in bases
    )
    return AtlasDefinition(path.stem, studies, studies[0].config.budgets, top, seeds)


def _names(found: Any, key: str, source: str) -> list[str]:
    names = isinstance(found, list) and found and all(isinstance(name, str) for name in found)
    if names and len(set(found)) == len(found):
        return list(found)
    raise ConfigError(f"{key} is {found!r} in {source}; allowed in an atlas: a list of names, each one once")


def _verify(found: Any, source: str) -> tuple[int, int]:
    """How many leaders are verified, on how many seeds."""
    if not isinstance(found, dict):
        raise ConfigError(f"verify is {found!r} in {source}; allowed: a table with top and seeds")
    values = {"top": 1, "seeds": 3}
    for key, value in found.items():
        if key not in values:
            raise unknown_key(f"verify.{key}", [f"verify.{name}" for name in values], source)
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 10_000:
            raise ConfigError(f"verify.{key} is {value!r} in {source}; allowed: whole numbers from 1 to 10000")
        values[key] = value
    return values["top"], values["seeds"]


def parse_places(given: Iterable[str]) -> dict[str, str]:
    """Where data sets are, each as NAME=SPEC.

    Raises:
        UsageError: one of them is not of this form.

    Example:
        >>> parse_places(["cifar10=folder:images/cifar10"])
        {'cifar10': 'folder:images/cifar10'}
    """
    places = {}
    for text in given:
        name, _, spec = text.partition("=")
        if not name or not spec:
            raise UsageError(f"--data is {text!r}; allowed: NAME=SPEC, such as cifar10=folder:PATH")
        places[name] = spec
    return places


def chosen(definition: AtlasDefinition, only: Sequence[str]) -> tuple[tuple[AtlasStudy, ...], tuple[str, ...]]:
    """The studies and the budgets that names choose: of baselines, data sets and budgets; of a kind not named, all.

    Budgets come in the order of the definition, and none that stands before a chosen one is left out.

    Raises:
        UnknownNameError: the atlas has nothing of this name.
    """
    kinds = (
        tuple(dict.fromkeys(study.base for study in definition.studies)),
        tuple(dict.fromkeys(study.data for study in definition.studies)),
        definition.budgets,
    )
    for name in only:
        if not any(name in kind for kind in kinds):
            raise choice_error("part of the atlas", name, [each for kind in kinds for each in kind])
    bases, datas, budgets = ([name for name in kind if name in only] or list(kind) for kind in kinds)
    studies = tuple(study for study in definition.studies if study.base in bases and study.data in datas)
    return studies, definition.budgets[: 1 + max(definition.budgets.index(text) for text in budgets)]
