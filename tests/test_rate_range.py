"""The learning rate, measured: what is tried, what is chosen, by what rule, and how a study goes through it."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from fake_executor import FakeExecutor, World
from torch import nn

from scalesearch.analysis.fidelity.chance import Chance
from scalesearch.analysis.fidelity.rate_grid import LAST, ROLES, Role, Tried, best_step, next_steps, rate_at, vertex
from scalesearch.analysis.fidelity.rate_range import measured_rates, spare
from scalesearch.analysis.load import load_result
from scalesearch.errors import StudyError, UsageError
from scalesearch.networks.spec import NetworkSpec
from scalesearch.networks.suited import by_layers
from scalesearch.scaling.coefficients import Coefficients, Shares
from scalesearch.search import Silent, resume, run
from scalesearch.search.verify.plans import VerifyRequest
from scalesearch.search.verify.run import verify
from scalesearch.study import StudyPaths, StudyStore
from scalesearch.study.config import ProxyRecipe, config_from_dict, parse_rate
from scalesearch.study.config.tuned import open_values
from scalesearch.study.record import NetworkRecord, TrainingOutcome
from scalesearch.training.workers.base import Event, Job, JobDone

MANY = Chance(0.1, math.log(10), 1_000_000)
"""Ten classes, and so many validation images that chance plays no part."""


def network(role: str, depth: float, width: float, target: float = 2e6) -> NetworkRecord:
    one, shares = (1.0, 1.0), Shares(depth, width, 1.0 - depth - width)
    return NetworkRecord(
        0, "2x", (role,), Coefficients(1.0, 1.0, 1.0), None if role == "baseline" else shares, one, one, one,
        NetworkSpec((1,), (8,), 8), 1, 1, 1, "macs", target, target, True,
    )  # fmt: skip


NETWORKS: dict[Role, NetworkRecord] = {
    "baseline": network("baseline", 0, 0, 1e6),
    "deepest": network("deepest", 1, 0),
    "widest": network("widest", 0, 1),
}


def played(peaks: dict[Role, float], *, diverges_above: float = 99.0, height: float = 0.3) -> list[Tried]:
    """Everything that is tried when accuracies are parabolas of the step, each with its own peak."""
    tried: list[Tried] = []
    while wave := next_steps(tried, [role for role in ROLES if role in peaks]):
        assert len(tried) < 40, "it never ends"
        for role, step in wave:
            assert all((t.role, t.step) != (role, step) for t in tried), "tried twice"
            accuracy = None if step > diverges_above else 0.6 - height * (step - peaks[role]) ** 2 / 10
            tried.append(Tried(role, step, accuracy))
    return tried


def test_three_rates_first_and_more_only_where_the_best_is_at_an_end():
    assert next_steps([]) == [("baseline", -1), ("baseline", 0), ("baseline", 1)]
    assert len(played({"baseline": 0.0, "deepest": 0.0, "widest": 0.0})) == 9
    beyond = played({"baseline": 2.2})
    assert [t.step for t in beyond] == [-1, 0, 1, 2, 3]
    assert [t.step for t in played({"baseline": -9.0})][-1] >= -4


@pytest.mark.parametrize("peak", [-2.0, -0.4, 0.0, 0.3, 1.8])
def test_a_planted_peak_is_found(peak):
    found = measured_rates("sgd", played(dict.fromkeys(NETWORKS, peak)), NETWORKS, MANY)
    assert not found.own
    assert math.log10(found.common) == pytest.approx(math.log10(0.063) + peak / 2, abs=0.03)
    assert found.of(NETWORKS["deepest"]) == found.of(NETWORKS["baseline"]) == found.common


def test_networks_whose_best_rates_differ_get_their_own():
    """Depth wants a tenth of the rate; what lies half way gets the geometric mean; width stays."""
    found = measured_rates("sgd", played({"baseline": 1.0, "deepest": -1.0, "widest": 1.0}, height=1.0), NETWORKS, MANY)
    assert found.own
    assert found.of(NETWORKS["baseline"]) == 0.2
    assert found.of(NETWORKS["deepest"]) == pytest.approx(0.02, rel=0.02)
    assert found.of(NETWORKS["widest"]) == pytest.approx(0.2, rel=0.02)
    assert found.of(network("", 0.5, 0.5)) == pytest.approx(math.sqrt(0.02 * 0.2), rel=0.02)
    assert found.of(network("", 1.0, 0.0, 8e6)) == pytest.approx(0.02, rel=0.02)  # no further than was tried
    assert "each network has its own rate" in found.words
    assert "deepest 0.0063" in found.words or "deepest 0.02" in found.words


def test_a_difference_that_chance_makes_is_no_reason_for_own_rates():
    tried = played({"baseline": 0.0, "deepest": -1.0, "widest": 0.0}, height=0.5)
    assert not measured_rates("sgd", tried, NETWORKS, replace(MANY, images=500)).own
    assert measured_rates("sgd", tried, NETWORKS, MANY).own
    assert spare(0.5, 500) == pytest.approx(0.03 + math.sqrt(0.5 / 500))


def test_of_rates_that_chance_cannot_tell_apart_the_usual_one_is_taken():
    """So few steps say too well of a high rate: 53.0 is no more than 52.0 on 2,000 images, and is on many."""
    steps = {-1: 0.45, 0: 0.52, 1: 0.525, 2: 0.53, 3: 0.40}
    tried = [Tried("baseline", step, accuracy) for step, accuracy in steps.items()]
    alone = {"baseline": NETWORKS["baseline"]}
    few = measured_rates("sgd", tried, alone, replace(MANY, images=2000))
    assert few.common == rate_at("sgd", 0.5)  # the parabola points upwards, and half a step is as far as it goes
    assert measured_rates("sgd", tried, alone, MANY).common == rate_at("sgd", vertex(tried)) > rate_at("sgd", 1.5)
    falling = [Tried("baseline", -step, accuracy) for step, accuracy in steps.items()]
    assert measured_rates("sgd", falling, alone, replace(MANY, images=2000)).common == rate_at("sgd", -0.5)


def test_of_three_networks_chance_is_no_reason_to_leave_the_usual_rate():
    rows = {"baseline": (0.500, 0.510, 0.512), "deepest": (0.490, 0.500, 0.504), "widest": (0.520, 0.530, 0.535)}
    tried = [Tried(role, step, row[step + 1]) for role, row in rows.items() for step in (-1, 0, 1)]
    tried += [Tried(role, 2, 0.5) for role in rows]
    few = measured_rates("sgd", tried, NETWORKS, replace(MANY, images=1000))
    many = measured_rates("sgd", tried, NETWORKS, MANY)
    assert rate_at("sgd", 0) <= few.common <= rate_at("sgd", 0.5) < many.common


def test_a_network_that_is_hardly_better_than_guessing_decides_nothing():
    tried = [Tried(role, step, 0.5 - 0.1 * step**2) for role in ("baseline", "deepest") for step in (-1, 0, 1)]
    tried += [Tried("widest", step, 0.1 + 0.005 * step) for step in (-1, 0, 1, 2, 3)]
    found = measured_rates("sgd", tried, NETWORKS, replace(MANY, images=1000))  # guessing: 10.0 ± 0.9
    assert (found.common, found.own, found.unlearned) == (rate_at("sgd", 0), False, ("widest",))


def test_divergence_is_never_chosen():
    found = measured_rates("sgd", played(dict.fromkeys(NETWORKS, 2.0), diverges_above=0), NETWORKS, MANY)
    assert found.common <= rate_at("sgd", 0)
    assert "0.2 diverged" in found.words
    everywhere = played({"baseline": 0.0}, diverges_above=-9)
    assert all(t.accuracy is None for t in everywhere)
    assert best_step(everywhere) is None
    assert vertex(everywhere) == min(t.step for t in everywhere)


def test_halving_halves_every_rate():
    tried = played({"baseline": 1.0, "deepest": -1.0, "widest": 1.0}, height=1.0)
    whole, half = (measured_rates("sgd", tried, NETWORKS, MANY, lowered) for lowered in (0, 1))
    for one in NETWORKS.values():
        assert half.of(one) == pytest.approx(whole.of(one) / 2, rel=0.01)
    assert "halved once" in half.words


def test_nothing_is_settled_before_all_is_tried():
    tried = played(dict.fromkeys(NETWORKS, 0.0))
    for cut in range(len(tried)):
        assert measured_rates("sgd", tried[:cut], NETWORKS, MANY) is None
    assert measured_rates("sgd", tried, NETWORKS, MANY) is not None


@pytest.mark.parametrize(
    ("layers", "suited"),
    [
        ([nn.Conv2d, nn.BatchNorm2d], "sgd"),
        ([nn.Linear, nn.LayerNorm], "adamw"),
        ([nn.Conv2d, nn.BatchNorm2d, nn.LayerNorm], "adamw"),
        ([nn.Conv2d, nn.GroupNorm], "adamw"),
        ([nn.LSTM, nn.Linear], "adamw"),
        ([type("FrozenBatchNorm2d", (nn.Module,), {})], "sgd"),
        ([type("RMSNorm", (nn.Module,), {}), nn.BatchNorm2d], "adamw"),
    ],
)
def test_the_optimizer_suits_the_layers(layers, suited):
    assert by_layers(layers) == suited


def test_only_a_baseline_that_was_tuned_here_has_a_rate_of_its_own():
    assert config_from_dict({}).proxy.learning_rate == 0.2
    other = config_from_dict({"base": "resnet_small", "proxy": {"epochs": 3}}).proxy
    assert (other.learning_rate, other.optimizer) == (0.0, "auto")
    assert config_from_dict({"base": "resnet_small", "proxy": {"learning_rate": 0.1}}).proxy.optimizer == "sgd"
    assert open_values("resnet_small", {"optimizer": "adamw"}) == {"learning_rate": 0.0}


def test_a_tuned_rate_is_of_its_optimizer_and_auto_may_be_written_in_a_file():
    assert config_from_dict({"proxy": {"optimizer": "adamw"}}).proxy.learning_rate == 0.0
    assert config_from_dict({"proxy": {"optimizer": "sgd"}}).proxy.learning_rate == 0.2
    assert config_from_dict({"proxy": {"learning_rate": "auto"}}).proxy.learning_rate == 0.0


@pytest.mark.parametrize("rate", [-1, 1e9, math.nan, "fast"])
def test_no_rate_in_a_file(rate):
    with pytest.raises(UsageError, match=r"proxy.learning_rate is .*; allowed: "):
        config_from_dict({"proxy": {"learning_rate": rate}})


@pytest.mark.parametrize(
    ("images", "batch", "part", "wanted"),
    [
        (8000, 50, 0.25, 4000),  # a quarter of two passes
        (2000, 50, 0.05, 2000),  # 40 steps are 2,000 images
        (1500, 50, 0.05, 2000),  # more than one pass where there are no more
        (400, 50, 0.05, 800),  # and never more than a training of the study
    ],
)
def test_images_of_a_short_training(images, batch, part, wanted):
    from scalesearch.search.rates.ranging import wanted_images

    assert wanted_images(images, 10, ProxyRecipe(epochs=2, batch_size=batch), part) == wanted


def test_the_range_test_is_in_the_estimate(tmp_path):
    """Ten short trainings, four of the baseline and six at 2x, are 16 of the baseline's cost, beside 2 (1 + 6 x 2).

    So few images make no 40 steps: the short trainings are whole ones.
    """
    from scalesearch.cli.progress import preflight_lines
    from scalesearch.search.ahead import plan_ahead

    plan = plan_ahead(config_from_dict(QUICK), "x", make_executor=rated(World())).preflight
    assert plan.short_trainings == 10
    trained = plan.trainings - 2
    part = (4 + 6 * 2) / (2 + trained * 2 + (4 + 6 * 2))
    assert plan.short_part == pytest.approx(part, rel=0.02)
    whole = (trained + 1 + (4 + 6 * 2) / 2) * plan.training_seconds / plan.workers
    assert plan.estimate_seconds == pytest.approx(whole, rel=0.02)
    assert any("about 10 short trainings first, to measure the learning rate" in line for line in preflight_lines(plan))


@pytest.mark.parametrize(("text", "rate"), [("auto", 0.0), ("AUTO", 0.0), ("0.05", 0.05), ("1e-3", 0.001)])
def test_rates_on_the_command_line(text, rate):
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "1e9", "fast", ""])
def test_no_rate(text):
    with pytest.raises(UsageError, match=r"--lr is .*allowed: auto, or a number above 0"):
        parse_rate(text)


# --- a study


class RatedExecutor(FakeExecutor):
    """Accuracy falls with the distance of the job's rate from 0.02; above a rate the loss is not finite."""

    limit = math.inf

    def events(self, timeout: float) -> list[Event]:
        if self.world.stop_after is not None and len(self.world.done) >= self.world.stop_after:
            raise KeyboardInterrupt
        job = self.running[0]
        rate = job.recipe.learning_rate
        accuracy = self.world.accuracy(job.spec, job.seed)
        if accuracy is None or rate > self.limit:
            return [
                self._done(job, TrainingOutcome(job.seed, "failed", None, None, 0.5, (), "then", "not finite", rate))
            ]
        accuracy -= 0.05 * math.log10(rate / 0.02) ** 2
        outcome = TrainingOutcome(job.seed, "complete", accuracy, 1 - accuracy, 0.5, (), "then", "", rate)
        return [self._done(job, outcome)]


def rated(world: World, limit: float = math.inf):
    def make(setup, workers: int) -> FakeExecutor:
        world.setups.append(setup)
        executor = RatedExecutor(world, workers)
        executor.limit = limit
        return executor

    return make


class Notes(Silent):
    def __init__(self) -> None:
        self.heard: list[str] = []

    def note(self, text: str) -> None:
        self.heard.append(text)


QUICK = {"trials": 6, "seeds": 2, "workers": 1, "base": "resnet_micro"}
QUICK["proxy"] = {"train_images": 40, "val_images": 40, "learning_rate": 0.0, "optimizer": "auto"}


@pytest.mark.parametrize("learns", [0.0, 0.15, 0.5])
@pytest.mark.parametrize("finite", [0.0, 0.5, 1.0])
def test_whatever_short_trainings_give_the_range_test_ends_on_rates_that_are_read_back(learns, finite):
    """Planted at random: each training learns, ends no better than guessing, or diverges."""
    readable = {rate_at("sgd", step) for step in range(-LAST, LAST + 1)}
    for seed in range(300):
        draw = random.Random(seed)
        tried: list[Tried] = []
        while wave := next_steps(tried):
            for role, step in wave:
                assert rate_at("sgd", step) in readable
                assert (role, step) not in {(t.role, t.step) for t in tried}
                accuracy = draw.random() if draw.random() < learns else None
                tried.append(Tried(role, step, accuracy, accuracy is None and draw.random() < finite))
        assert len(tried) <= 7 + 2 * 6


def test_a_study_measures_its_rate_and_trains_by_it(tmp_path):
    world, paths, notes = World(), StudyPaths(tmp_path / "s"), Notes()
    result = run(config_from_dict(QUICK), paths, listener=notes, make_executor=rated(world))
    (announced,) = [text for text in notes.heard if text.startswith("measuring the learning rate of sgd first")]
    assert "which is 2 steps, and fewer than 40 tell little of a rate; --lr 0.063 gives one" in announced
    assert result.complete
    assert result.rates.optimizer == "sgd"
    assert result.rates.common == 0.035  # the peak is at 0.02; 40 images tell it from the usual 0.063 by half a step
    rates = {r.outcome.learning_rate for r in StudyStore(paths).records() if r.outcome}
    assert rates == {result.rates.of(result.baseline.network)}
    assert load_result(paths).rates == result.rates
    assert "measured by short trainings" in result.rates.words
    text = paths.trials.read_text()
    assert "learning_rate" in text.partition("\n")[0]
    assert len(world.setups[0].dataset.train) <= 40


@pytest.mark.parametrize("stop", [4, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 8, 11, 15))])
def test_stopped_anywhere_it_goes_on_as_if_it_had_not_been(tmp_path, stop):
    whole = World()
    expected = run(config_from_dict(QUICK), StudyPaths(tmp_path / "whole"), make_executor=rated(whole))
    world, paths = World(stop_after=stop), StudyPaths(tmp_path / "cut")
    with pytest.raises(KeyboardInterrupt):
        run(config_from_dict(QUICK), paths, make_executor=rated(world))
    world.stop_after = None
    if stop == 4:  # three of the baseline, and the next beyond them: no corner has been tried
        assert load_result(paths).rates is None
    result = resume(paths, make_executor=rated(world))
    assert result.rates == expected.rates
    assert [s.accuracies for s in result.budgets[0].networks] == [s.accuracies for s in expected.budgets[0].networks]
    assert len(world.done) == len(whole.done)


def test_a_training_that_diverges_halves_the_rate_for_all_once(tmp_path):
    world, paths = World(), StudyPaths(tmp_path / "s")
    first = run(config_from_dict(QUICK), StudyPaths(tmp_path / "first"), make_executor=rated(World()))
    rate = first.rates.common

    class Late(RatedExecutor):
        """Short trainings do not show it."""

        def events(self, timeout: float) -> list[Event]:
            self.limit = 0.9 * rate if self.running[0].recipe.learning_rate == rate and not self.short else math.inf
            return super().events(timeout)

    def make(setup, workers: int) -> FakeExecutor:
        executor = Late(world, workers)
        executor.short = not world.setups
        world.setups.append(setup)
        return executor

    notes: list[str] = []
    counted: list[int] = []
    from scalesearch.training.watch import Silent

    class Notes(Silent):
        def note(self, text: str) -> None:
            notes.append(text)

        def so_far(self, records) -> None:
            counted.append(len(records))

    def sequence(setup, workers: int) -> FakeExecutor:
        executor = make(setup, workers)
        executor.short = len(world.setups) == 2  # the pool of the search is made first, then that of the range
        return executor

    result = run(config_from_dict(QUICK), paths, listener=Notes(), make_executor=sequence)
    assert result.complete
    assert result.rates.lowered == 1
    assert counted == [0, 0]  # at the beginning, and where it begins anew
    assert result.baseline.failed == 0
    assert {r.outcome.learning_rate for r in StudyStore(paths).records()} == {float(f"{rate / 2:.3g}")}
    assert any("the rate is halved for all networks" in note for note in notes)
    assert load_result(paths).rates == result.rates


def test_a_rate_that_was_given_is_not_halved(tmp_path):
    given = {**QUICK, "proxy": {**QUICK["proxy"], "learning_rate": 0.5, "optimizer": "sgd"}}
    world, paths = World(), StudyPaths(tmp_path / "s")

    class Given(RatedExecutor):
        def events(self, timeout: float) -> list[Event]:
            job = self.running[0]
            failed = TrainingOutcome(job.seed, "failed", None, None, 0.5, (), "then", "not finite", 0.5)
            if job.spec.resolution_px > 10 and job.number:
                return [self._done(job, failed)]
            done = TrainingOutcome(job.seed, "complete", 0.5, 0.5, 0.5, (), "then", "", 0.5)
            return [self._done(job, done)]

    result = run(config_from_dict(given), paths, make_executor=lambda setup, workers: Given(world, workers))
    assert result.rates is None
    assert not StudyStore(paths).lowered
    lost = [s for s in result.budgets[0].networks if s.failed]
    if lost:
        assert result.budgets[0].headline.startswith(f"{len(lost)} of ")


def test_new_seeds_are_trained_at_the_rates_of_the_search(tmp_path):
    world, paths = World(), StudyPaths(tmp_path / "s")
    result = run(config_from_dict(QUICK), paths, make_executor=rated(world))
    before = len(world.done)
    verify(paths, VerifyRequest(seeds=2, top=1, rates=False), make_executor=rated(world))
    assert relative_rates(world.done[before:], result) == {1.0}
    before = len(world.done)
    verified = verify(paths, VerifyRequest(seeds=2, top=1), make_executor=rated(world))
    assert relative_rates(world.done[before:], result) >= {0.5, 2.0}  # unasked, because the rate was measured
    assert verified.budgets[0].proof.fidelity.rate is not None
    assert verified.budgets[0].proof.fidelity.rank_changes == ()
    before = len(world.done)
    verify(paths, VerifyRequest(seeds=2, top=1, fidelity=True), make_executor=rated(world))
    assert relative_rates(world.done[before:], result) == {1.0}  # the longer proxy; the rates are there


def relative_rates(jobs, result) -> set[float]:
    return {round(job.recipe.learning_rate / result.rates.common, 6) for job in jobs}


def test_verification_before_the_rate_is_known_is_refused(tmp_path):
    world, paths = World(stop_after=2), StudyPaths(tmp_path / "s")
    with pytest.raises(KeyboardInterrupt):
        run(config_from_dict(QUICK), paths, make_executor=rated(world))
    with pytest.raises(StudyError, match="go on with it first, by: scalesearch resume s"):
        verify(paths, VerifyRequest(), make_executor=rated(world))


def test_the_short_trainings_are_a_small_part_of_a_default_study():
    """By arithmetic: of 46 trainings of the baseline's cost (11 networks at 2x), 15 a quarter as long, 20 at most."""
    from scalesearch.search.rates.ranging import COST, OWN_TRAININGS, PARTS, TYPICAL

    whole = 2 * (1 + 11 * 2)
    part = min(PARTS[1], max(PARTS[0], COST * whole / TYPICAL))
    usual, most = 3 + 2 * 3 * 2, 3 + 1 + 2 * (3 + 1) * 2
    assert part * usual / whole <= 0.1
    assert part * most / whole <= 0.15
    both = min(PARTS[1], max(PARTS[0], COST * whole / (TYPICAL + OWN_TRAININGS)))
    assert both * (usual + 3) / whole <= 0.1
    assert both * (most + 4) / whole <= 0.15


def test_job_done_events_carry_the_recipe():
    job = Job(1, NetworkSpec((1,), (8,), 8), 0, replace(config_from_dict({}).proxy, learning_rate=0.3))
    done = JobDone(job, TrainingOutcome(0, "complete", 0.5, 0.5, 1.0, (), "then", "", 0.3))
    assert done.job.recipe.learning_rate == done.outcome.learning_rate
