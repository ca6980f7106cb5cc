"""What a study says of itself to others: without where its files lie, and on which host it was made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from scalesearch.environment.places import command_without_places, last_part, without_places
from scalesearch.study.manifest import AcceptedChange, DataFacts, Manifest


def known_places(manifest: Manifest) -> tuple[str, ...]:
    """Absolute paths that texts of a study may hold, whatever characters they have."""
    own = [spec.partition(":")[2] for spec in (manifest.config.data, manifest.data.spec)]
    return tuple({*filter(_is_absolute, own), str(Path.home()), str(Path.cwd())})


def shared_manifest(manifest: Manifest) -> Manifest:
    """The same for others: every path by its last part, and no address of a cluster or server.

    What it is trained on stays: fingerprints, sizes, names of classes, versions, kind of device.
    """
    known = known_places(manifest)
    config = replace(manifest.config, data=_shared_spec(manifest.config.data))
    return replace(
        manifest,
        config=config,
        data=_shared_facts(manifest.data, known),
        command=command_without_places(manifest.command),
        changes=tuple(_shared_change(change, known) for change in manifest.changes),
    )


def _shared_spec(spec: str) -> str:
    kind, colon, rest = spec.partition(":")
    return f"{kind}{colon}{last_part(rest)}" if colon and _is_absolute(rest) else spec


def _shared_facts(facts: DataFacts, known: tuple[str, ...]) -> DataFacts:
    def shared(texts: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(without_places(text, known) for text in texts)

    return replace(
        facts,
        spec=_shared_spec(facts.spec),
        notes=shared(facts.notes),
        warnings=shared(facts.warnings),
        splits=without_places(facts.splits, known),
    )


def _shared_change(change: AcceptedChange, known: tuple[str, ...]) -> AcceptedChange:
    return replace(change, what=tuple(without_places(text, known) for text in change.what))


def _is_absolute(path: str) -> bool:
    return path.startswith(("/", "~", "\\\\")) or path[1:3] == ":\\"
