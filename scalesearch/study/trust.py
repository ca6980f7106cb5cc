"""Whether the code that a study names may run: its user's own may, a stranger's only when that is asked for."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from scalesearch.data.load import names_code as is_function
from scalesearch.errors import TrustError
from scalesearch.networks.native import names_code as is_network
from scalesearch.study.config import StudyConfig
from scalesearch.study.folder import StudyPaths
from scalesearch.study.made import load_manifest
from scalesearch.user_code.known import remember, unknown


def code_named(config: StudyConfig) -> tuple[str, ...]:
    """The references `package.module:attribute` of a definition, which are imported to train or build its networks."""
    base = (config.base,) if is_network(config.base) else ()
    return (*base, config.data) if is_function(config.data) else base


def trust(paths: StudyPaths) -> None:
    """Let the code of a study run from where it is now, in later commands too.

    Raises:
        StudyError: the study cannot be read.
    """
    remember(code_named(load_manifest(paths).config))


def own(config: StudyConfig) -> None:
    """Take a definition for its user's own: it was named on the command line, or handed to the library."""
    remember(code_named(config))


def named(config: StudyConfig, asked: Mapping[str, Any]) -> None:
    """Let code of a study run that its user has named too.

    Args:
        asked: by field of the definition; None was not given.
    """
    remember({*code_named(config)}.intersection(asked.values()))


def check_trusted(config: StudyConfig, whose: str, named: Collection[str | None] = ()) -> None:
    """Refuse to import what was never run from where it is now.

    Args:
        whose: how the message calls what names it, such as ``study 'X'``.
        named: on the command line, which is allowed.

    Raises:
        TrustError: naming the code, its folder, and what lets it run.
    """
    if asked := unknown({*code_named(config)}.difference(named)):
        raise TrustError(
            f"{whose} names code that you have not run from here: {_listed(asked)}; whoever made the study chose it, "
            "and importing it runs it: read it first, then let it run with --trust (in Python: trust=True), which is "
            "asked once for this code in this folder"
        )


def _listed(entries: Sequence[tuple[str, str]]) -> str:
    return " and ".join(f"{reference!r} in {folder!r}" for reference, folder in entries)
