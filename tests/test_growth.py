"""What the driver does for each training, counted: rows that are read, rows that are parsed, tables, transactions."""

from __future__ import annotations

from collections import Counter

import pytest
from fake_executor import World

from scalesearch.scaling.cost import closed_form
from scalesearch.search import Silent, loop, records, run
from scalesearch.search.surface_sampler import SurfaceSampler
from scalesearch.study import StudyPaths, StudyStore, trials
from scalesearch.study.config import config_from_dict
from scalesearch.study.storage import sole_writer


@pytest.fixture
def counted(monkeypatch) -> Counter[str]:
    """How often each thing is done."""
    found: Counter[str] = Counter()

    def count(owner, name, key, size=lambda result: 1):
        original = getattr(owner, name)

        def counting(*args, **kwargs):
            result = original(*args, **kwargs)
            found[key] += size(result)
            return result

        monkeypatch.setattr(owner, name, counting)

    monkeypatch.setattr(records, "count", closed_form)
    count(sole_writer, "read_trials", "rows read", len)
    count(trials, "content_of", "rows parsed")
    count(StudyStore, "records", "tables")
    flush = sole_writer.SoleWriter._flush

    def flushed(writer):
        found["commits"] += bool(writer._buffer)
        flush(writer)

    monkeypatch.setattr(sole_writer.SoleWriter, "_flush", flushed)
    return found


def study(tmp_path, counted: Counter[str], sampler: str, seeds: int, workers: int = 2) -> Counter[str]:
    """What a study of 8 networks and so many seeds takes while it trains; how it begins and ends is not counted."""
    wanted = {"trials": 8, "seeds": seeds, "workers": workers, "sampler": sampler, "delta": 1e-6}
    proxy = {"train_images": 20, "val_images": 20, "learning_rate": 0.1}
    world, during = World(), Counter()

    class Counting(Silent):
        def so_far(self, records):
            counted.clear()

    original = World.executor

    def executor(setup, workers):
        made = original(world, setup, workers)
        stop = made.stop

        def stopped():
            during.update(counted)
            stop()

        made.stop = stopped
        return made

    paths = StudyPaths(tmp_path / f"{sampler}-{seeds}")
    run(config_from_dict({**wanted, "proxy": proxy}), paths, listener=Counting(), make_executor=executor)
    during["trainings"] = len(world.done)
    return during


@pytest.mark.parametrize("sampler", ["lattice", "random", "tpe", "surface"])
def test_what_a_training_takes_does_not_grow_with_those_before(tmp_path, counted, sampler, monkeypatch):
    monkeypatch.setattr(loop, "SAVE_EVERY_SECONDS", 1e9)
    ending = SurfaceSampler.ending
    to_the_end = lambda self, trials, left: ending(self, trials, left) if left <= 0 else None  # noqa: E731
    monkeypatch.setattr(SurfaceSampler, "ending", to_the_end)
    few, many = (study(tmp_path, counted, sampler, seeds) for seeds in (2, 8))
    assert many["trainings"] > 2 * few["trainings"]
    more = many["trainings"] - few["trainings"]
    assert many["tables"] <= few["tables"] + 2, "the whole table is read for single trainings"
    assert many["rows read"] <= 2, "the database is read again while it is written"
    assert many["rows parsed"] <= few["rows parsed"] + 2 * more
    assert many["commits"] <= few["commits"] + 4 * more


def test_many_seats_write_together(tmp_path, counted):
    """Eight networks begun at once are proposed in one transaction; each of nine trainings ends in one."""
    found = study(tmp_path, counted, "lattice", 1, workers=12)
    assert found["trainings"] == 9
    assert found["commits"] <= 9 + 5
