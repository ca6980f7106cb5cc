"""A disk that fills up in the middle of a study: one line, and after space is freed the table of one left alone."""

from __future__ import annotations

import pandas as pd
import pytest
from conftest import fill
from fake_executor import World
from test_search import definition, table

from scalesearch.errors import StorageError
from scalesearch.scaling.cost import closed_form
from scalesearch.search import records, resume, run
from scalesearch.study import StudyPaths, StudyStore, is_locked

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True, scope="module")
def counted_in_closed_form():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "count", closed_form)
        yield


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """By sampler: the table of a study that was left alone."""
    made: dict[str, pd.DataFrame] = {}

    def of(sampler: str) -> pd.DataFrame:
        if sampler not in made:
            paths = StudyPaths(tmp_path_factory.mktemp("alone") / "s")
            run(definition(trials=6, sampler=sampler), paths, make_executor=World().executor)
            made[sampler] = table(paths)
        return made[sampler]

    return of


def finished(paths: StudyPaths) -> set[tuple[int, int]]:
    """Network and seed of every training that the database has."""
    store = StudyStore(paths)
    try:
        return {(row.network.number, row.outcome.seed) for row in store.records()}
    finally:
        store.close()


class Filling(World):
    """Fills a disk, but for so many bytes, once so many trainings have ended."""

    def __init__(self, disk, after: int, leave: int) -> None:
        super().__init__()
        self.disk, self.after, self.leave, self.ballast = disk, after, leave, None
        self.before_job = self.fill

    def fill(self) -> None:
        if len(self.done) == self.after and self.ballast is None:
            self.ballast = fill(self.disk, self.leave)


@pytest.mark.parametrize("sampler", ["lattice", "tpe", "surface"])
@pytest.mark.parametrize(("after", "leave"), [(0, 0), (1, 4096), (4, 0), (7, 0), (9, 20_000), (11, 0)])
def test_nothing_finished_is_lost_and_the_table_is_that_of_a_study_left_alone(small_disk, alone, sampler, after, leave):
    paths, world = StudyPaths(small_disk / "s"), Filling(small_disk, after, leave)
    with pytest.raises(StorageError, match=r"^[^\n]*(full|No space left)[^\n]*$"):
        run(definition(trials=6, sampler=sampler), paths, make_executor=world.executor)
    assert not is_locked(paths)
    world.ballast.unlink()
    kept = finished(paths)
    assert len(kept) >= after
    again = World()
    resume(paths, make_executor=again.executor)
    pd.testing.assert_frame_equal(table(paths), alone(sampler))
    assert len(again.done) == len(alone(sampler)) - len(kept)
