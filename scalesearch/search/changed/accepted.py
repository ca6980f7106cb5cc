"""A study that goes on by a definition that was changed: its trainings so far are kept, and set aside."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from dataclasses import replace

from scalesearch.environment.files import write_atomic
from scalesearch.environment.waiting import doing
from scalesearch.errors import StudyError
from scalesearch.scaling.units import is_or_are, plural
from scalesearch.search.checks import check_baseline, check_counts, check_data, check_plan
from scalesearch.search.pixels import pixel_facts
from scalesearch.search.prepare import Prepared, make_manifest, prepare
from scalesearch.study import StudyPaths, StudyStore, locked
from scalesearch.study.config import StudyConfig, dump_toml
from scalesearch.study.made import Edit, edit_of, load_manifest
from scalesearch.study.manifest import AcceptedChange, Manifest, manifest_to_dict, utc_now
from scalesearch.study.mending import mend
from scalesearch.study.trust import check_trusted
from scalesearch.training.watch import Listener
from scalesearch.training.workers.site import Site

ANOTHER_STUDY = (
    "base", "data", "resolution", "skip_bad", "max_pixels", "seed_split", "proxy.train_images", "proxy.val_images"
)  # fmt: skip
"""Fields that say what a study is about: nothing before such a change could be held against anything after it."""


def accept_changes(paths: StudyPaths, listener: Listener, at: Callable[[StudyConfig], Site]) -> Site | None:
    """Let `study.toml` as it is now define what a study trains from here on.

    What was trained before is kept in the database and in `earlier.csv`, and stands in no ranking with what is trained
    from now on; where the new definition would repeat a training to the bit, it is taken over.

    Args:
        at: gives the place where a definition trains.

    Returns:
        That place; None where there was nothing to accept.

    Raises:
        StudyError: the file cannot be read, the study is from before its definition was kept, or another is meant.
        ScaleSearchError: whatever a new study of this definition would refuse; then nothing has been written.
    """
    with locked(paths):
        mend(paths)
        with contextlib.closing(StudyStore(paths)) as store:
            store.keep_made(load_manifest(paths))
            made = load_manifest(paths)
            edit = edit_of(paths, made)
            if edit is None or not edit.words:
                listener.note("study.toml says what the trainings were made by: there is no change to accept")
                return None
            config = _changed(paths, edit)
            site = at(config)
            prepared = _prepared(config, made, site)
            check_data(made, prepared)
            check_baseline(made, prepared)
            with doing("counting the baseline and the planned networks both ways"):
                counted = check_counts(prepared)
                check_plan(prepared)
            for text in counted:
                listener.note(text)
            change = AcceptedChange(utc_now(), tuple(map(str, edit.changes)), _trainings(store))
            manifest = _manifest(prepared, made, config, change)
            store.begin_again(manifest)
            write_atomic(paths.definition, dump_toml(manifest_to_dict(manifest)))
    listener.note(
        f"accepted: {edit.words}; the {plural(change.trainings, 'training')} before {is_or_are(change.trainings)} "
        f"kept in {paths.earlier.name}, and those that would come out the same to the bit are taken over"
    )
    return site


def _changed(paths: StudyPaths, edit: Edit) -> StudyConfig:
    """The definition that is to hold."""
    if edit.config is None:
        raise StudyError(f"the changes of {str(paths.definition)!r} cannot be accepted: {edit.words or edit.broken}")
    if other := [str(change) for change in edit.changes if change.field in ANOTHER_STUDY]:
        raise StudyError(
            f"study {paths.name!r} cannot go on so: {'; '.join(other)}, which is another study; start it by "
            f"'scalesearch run {paths.definition} --new', and take the change back here by --undo-changes"
        )
    return edit.config


def _prepared(config: StudyConfig, made: Manifest, site: Site) -> Prepared:
    """As for a new study, on the device and with the switches that the old one found, where they were not changed."""
    check_trusted(config, f"study {made.study!r}")
    same_device = config.device == made.config.device
    prepared = prepare(replace(config, device=made.device) if same_device else config, site=site)
    same_engine = same_device and config.engine == made.config.engine
    same_engine &= config.proxy.batch_size == made.config.proxy.batch_size
    return replace(prepared, engine=made.engine, speed=made.speed) if same_engine else prepared


def _trainings(store: StudyStore) -> int:
    return sum(record.outcome is not None for record in store.records()) + len(store.evidence())


def _manifest(prepared: Prepared, made: Manifest, config: StudyConfig, change: AcceptedChange) -> Manifest:
    """The study from here on: what it has been since it began stays."""
    facts = make_manifest(prepared, made.study, made.command)
    pixels = replace(pixel_facts(prepared, made.pixels.resampling), by_blocks=made.pixels.by_blocks)
    return dataclasses.replace(
        facts,
        config=config,
        created_at=made.created_at,
        workers=made.workers,
        places=made.places,
        pixels=pixels,
        changes=(*made.changes, change),
    )
