"""A training that broke off is a row of its study: nothing is lost to it, and when asked for it is made again."""

from __future__ import annotations

import pandas as pd
import pytest
from fake_executor import World
from test_search import definition as usual
from test_search import table

from scalesearch.analysis.answer.answer import answer
from scalesearch.analysis.untrained import untrained
from scalesearch.cli.progress import preflight_lines
from scalesearch.errors import BaseError, ScaleSearchError
from scalesearch.scaling.cost import closed_form
from scalesearch.search import Silent, records, resume, run
from scalesearch.search.verify.plans import VerifyRequest
from scalesearch.search.verify.run import verify
from scalesearch.study import StudyPaths, StudyStore
from scalesearch.training.workers.base import Job
from scalesearch.training.workers.limits import allowed_seconds

SEGFAULT, HUNG = "error: its process ended itself (SIGSEGV)", "timeout: it had not ended after 9 s (--training-timeout)"


@pytest.fixture(autouse=True, scope="module")
def counted_in_closed_form():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "count", closed_form)
        yield


def definition(**changes):
    return usual(**{"trials": 6, **changes})


class Heard(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []
        self.plans: list = []

    def note(self, text):
        self.notes.append(text)

    def preflight(self, plan):
        self.plans.append(plan)


def at_14_px(job: Job) -> str:
    return SEGFAULT if job.spec.resolution_px == 14 and job.number else ""


def studied(folder, name: str, world: World, **changes):
    paths = StudyPaths(folder / name)
    return paths, run(definition(**changes), paths, make_executor=world.executor)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    paths, _ = studied(tmp_path_factory.mktemp("whole"), "whole", World())
    return table(paths)


def test_the_others_end_as_ever_and_resume_does_not_meet_it_again(tmp_path, whole):
    paths, result = studied(tmp_path, "s", World(broken=at_14_px))
    rows = table(paths)
    lost = whole.resolution_px.eq(14) & whole.trial.ne(0)
    assert 0 < lost.sum() < len(whole)
    pd.testing.assert_frame_equal(rows[~lost], whole[~lost], check_dtype=False)
    assert (rows[lost].status == "failed").all()
    assert (rows[lost].note == SEGFAULT).all()
    assert result.complete
    headline = result.budgets[0].headline
    assert f"broke off with an error ({SEGFAULT.removeprefix('error: ')}): network" in headline
    assert "resume --retry-failed" in headline
    assert "--lr" not in headline
    again = World()
    assert resume(paths, make_executor=again.executor) == result
    assert again.done == []


def test_asked_for_again_they_are_trained_and_nothing_else_is(tmp_path, whole):
    paths, _ = studied(tmp_path, "s", World(broken=at_14_px))
    again, heard = World(), Heard()
    result = resume(paths, retry_failed=True, make_executor=again.executor, listener=heard)
    lost = whole[whole.resolution_px.eq(14) & whole.trial.ne(0)]
    assert sorted((job.number, job.seed) for job in again.done) == sorted(zip(lost.trial, lost.seed, strict=True))
    assert f"{len(lost)} trainings that broke off are made again" in heard.notes
    pd.testing.assert_frame_equal(table(paths), whole)
    assert result.complete
    resume(paths, retry_failed=True, make_executor=again.executor, listener=heard)
    assert heard.notes[-1] == "no training broke off: none is made again"


@pytest.mark.slow
def test_interrupted_while_they_are_made_again_it_goes_on_with_the_rest(tmp_path, whole):
    paths, _ = studied(tmp_path, "s", World(broken=at_14_px))
    world = World(stop_after=1)
    with pytest.raises(KeyboardInterrupt):
        resume(paths, retry_failed=True, make_executor=world.executor)
    world.stop_after = None
    resume(paths, make_executor=world.executor)
    pd.testing.assert_frame_equal(table(paths), whole)
    assert len({(job.number, job.seed) for job in world.done}) == len(world.done)


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["surface", "tpe"])
def test_samplers_that_learn_go_on_without_them_and_take_them_back(tmp_path, sampler):
    changes = {"sampler": sampler, "seeds": 2, "trials": 8}
    paths, result = studied(tmp_path, "s", World(broken=at_14_px), **changes)
    before = table(paths)
    failed = before[before.status == "failed"]
    assert len(failed) > 0
    assert result.complete
    done = resume(paths, retry_failed=True, make_executor=World().executor)
    after = table(paths)
    assert (after.status == "complete").all()
    assert len(after.drop_duplicates(["trial", "seed"])) == len(after)
    kept = before[before.status == "complete"].set_index(["trial", "seed"])
    pd.testing.assert_series_equal(after.set_index(["trial", "seed"]).accuracy.loc[kept.index], kept.accuracy)
    assert {*zip(failed.trial, failed.seed, strict=True)} <= {*zip(after.trial, after.seed, strict=True)}
    assert done.complete


@pytest.mark.slow
def test_a_loss_that_was_not_finite_is_a_result_and_not_made_again(tmp_path):
    diverging = World(accuracy=lambda spec, seed: None if spec.resolution_px == 14 else 0.5)
    paths, _ = studied(tmp_path, "s", diverging)
    again = World()
    resume(paths, retry_failed=True, make_executor=again.executor)
    assert again.done == []


def test_where_nothing_trains_the_study_ends_at_once_with_the_commonest_reason(tmp_path, whole):
    paths = StudyPaths(tmp_path / "s")
    world = World(broken=lambda job: HUNG if job.seed else SEGFAULT)
    with pytest.raises(ScaleSearchError) as caught:
        run(definition(workers=1), paths, make_executor=world.executor)
    assert str(caught.value) == (
        f"none of the first 6 trainings came to its end; the commonest reason is: {SEGFAULT}; what is recorded is "
        "kept, mend that, then: scalesearch resume s --retry-failed"
    )
    assert caught.value.exit_code == 1
    assert len(table(paths)) == 6
    resume(paths, retry_failed=True, make_executor=World().executor)
    pd.testing.assert_frame_equal(table(paths), whole)


def test_a_budget_of_which_nothing_trained_says_why(tmp_path):
    _, result = studied(tmp_path, "s", World(broken=lambda job: HUNG if job.number else ""))
    (said,) = untrained(result)
    assert "took too long (it had not ended after 9 s (--training-timeout))" in said
    assert "--training-timeout asks for them again" in answer(result, result.budgets[0]).todo


def test_the_time_is_the_baselines_where_the_network_that_is_timed_breaks_off(tmp_path):
    def estimate(spec):
        if spec != baseline:
            raise BaseError("mine fails in training at 18 px: ValueError: no")
        return 2.0

    from scalesearch.networks.registry import get_baseline

    baseline = get_baseline("efficientnet_micro").spec
    heard, paths = Heard(), StudyPaths(tmp_path / "s")
    estimates = World(estimate=estimate)
    run(definition(), paths, make_executor=estimates.executor, listener=heard)
    assert heard.plans[0].training_seconds == pytest.approx(4.0, rel=0.03)  # 2x the cost
    assert any("breaks off: mine fails in training at 18 px: ValueError: no" in note for note in heard.notes)


def test_a_baseline_that_does_not_train_keeps_the_study_from_beginning(tmp_path):
    def never(spec):
        raise BaseError("mine fails in training")

    world = World(estimate=never)
    with pytest.raises(BaseError, match="mine fails in training"):
        run(definition(), StudyPaths(tmp_path / "s"), make_executor=world.executor)
    assert world.done == []


@pytest.mark.slow
def test_verification_takes_it_as_a_row_and_makes_it_again(tmp_path):
    paths, _ = studied(tmp_path, "s", World())
    ask = VerifyRequest(seeds=2)
    broken: list[Job] = []

    def first(job: Job) -> str:
        broken.extend([] if broken else [job])
        return SEGFAULT if job in broken else ""

    verify(paths, ask, make_executor=World(broken=first).executor)
    same = World()
    verify(paths, ask, make_executor=same.executor)
    assert same.done == []
    verify(paths, ask, retry_failed=True, make_executor=same.executor)
    assert [(job.number, job.seed) for job in same.done] == [(broken[0].number, broken[0].seed)]
    store = StudyStore(paths)
    assert all(record.outcome.status == "complete" for record in store.evidence())
    store.close()


@pytest.mark.parametrize(("given", "limit"), [(0.0, 300.0), (7.0, 7.0)])
def test_trainings_are_given_up_after_a_multiple_of_the_estimate_or_what_was_said(tmp_path, given, limit):
    world, heard, paths = World(stop_after=3), Heard(), StudyPaths(tmp_path / "s")
    with pytest.raises(KeyboardInterrupt):
        run(
            definition(training_timeout=given), StudyPaths(tmp_path / "s"), make_executor=world.executor, listener=heard
        )
    assert set(world.limits) == {limit}
    assert any("is given up" in line for line in preflight_lines(heard.plans[0]))
    again = World(stop_after=0)
    with pytest.raises(KeyboardInterrupt):
        resume(paths, training_timeout=9.0, make_executor=again.executor)
    assert set(again.limits) == {9.0}


def test_the_limit_of_a_longer_training_follows_its_cost():
    assert [allowed_seconds(estimate) for estimate in (1.0, 15.0, 16.0)] == [300.0, 300.0, 320.0]
    assert allowed_seconds(1000.0, 2.5) == 2.5
