"""Training leaves a stranger's network as it is: averages, layouts, evaluation and lazy layers break nothing."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
import trained_networks as nets
from torch import nn

from scalesearch.data.device import HeldSplit, Normalization
from scalesearch.errors import BaseError, InfeasibleError
from scalesearch.networks.base import Task
from scalesearch.networks.lazy import initialise_lazy
from scalesearch.networks.placed import layout_for, placed
from scalesearch.networks.registry import get_baseline
from scalesearch.networks.user.baseline import user_baseline
from scalesearch.scaling.cost import count_agreement
from scalesearch.search.check_base.training import training_findings
from scalesearch.study.config import ProxyRecipe
from scalesearch.training.average import WeightAverage, constant_decay
from scalesearch.training.batches import ProxyData
from scalesearch.training.full.loop import FullData, FullTraining
from scalesearch.training.full.recipe import TrainRecipe
from scalesearch.training.proxy import train_proxy

TASK = Task(3, 1)
RECIPE = ProxyRecipe(epochs=2, batch_size=8, learning_rate=0.05)
CPU = torch.device("cpu")


def split(images, seed, px=12):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(3, (images,), generator=generator)
    pixels = torch.randint(0, 80, (images, 1, px, px), generator=generator) + 60 * labels[:, None, None, None]
    return HeldSplit(pixels.to(torch.uint8), labels)


DATA = ProxyData(split(24, 0), split(20, 1), Normalization((0.4,), (0.2,)), 12)


def baseline(name):
    return user_baseline(f"trained_networks:{name}")


def built(name, px=12):
    base = baseline(name)
    return base.build(replace(base.spec, resolution_px=px), TASK)


@pytest.mark.parametrize("ema", [0.0, 0.9])
@pytest.mark.parametrize("name", nets.KINDS)
def test_it_trains_with_and_without_an_average(name, ema):
    one, again = (train_proxy(lambda: built(name), DATA, replace(RECIPE, ema=ema), 0) for _ in range(2))
    assert (one.status, len(one.curve)) == ("complete", 2)
    assert one.curve == again.curve
    assert math.isfinite(one.curve[1].loss)


@pytest.mark.parametrize("name", nets.KINDS)
def test_an_average_does_not_touch_the_training(name):
    plain, averaged = (train_proxy(lambda: built(name), DATA, replace(RECIPE, ema=ema), 0) for ema in (0.0, 0.9))
    assert averaged.curve[0].train_loss == plain.curve[0].train_loss
    if name != "evalcache":
        assert averaged.curve[0].loss != plain.curve[0].loss
    if name not in ("replaced", "growing"):  # these learn from evaluation too, and an average keeps that from them
        assert averaged.curve[1].train_loss == plain.curve[1].train_loss


@pytest.mark.parametrize("name", [*nets.KINDS])
def test_an_evaluation_of_the_average_leaves_every_value_as_it_was(name):
    torch.manual_seed(0)
    module = placed(built(name), CPU, torch.contiguous_format)
    average = WeightAverage(module, constant_decay(0.5))
    images = torch.rand(4, 1, 12, 12)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    for _ in range(2):
        module.train()(images).square().sum().backward()
        optimizer.step()
        average.update()
    tensors = [*module.parameters(), *module.buffers()]
    values = [tensor.detach().clone() for tensor in tensors]
    with torch.no_grad(), average.applied() as evaluated:
        evaluated.eval()(images)
    after = [*module.parameters(), *module.buffers()]
    assert all(one is other for one, other in zip(tensors, after, strict=True))
    assert all(torch.equal(one, value) for one, value in zip(after, values, strict=True))


def test_the_average_is_the_closed_form_and_copies_counters():
    module = nn.BatchNorm1d(2)
    average = WeightAverage(module, constant_decay(0.75))
    seen = []
    for step in range(4):
        with torch.no_grad():
            module.weight.fill_(step * step)
        module(torch.full((2, 2), float(step)))
        average.update()
        seen.append((float(module.weight.detach()[0]), float(module.running_mean[0])))
    wanted = seen[0]
    for value in seen[1:]:
        wanted = tuple(0.75 * a + 0.25 * v for a, v in zip(wanted, value, strict=True))
    with average.applied():
        found = (float(module.weight.detach()[0]), float(module.running_mean[0]), int(module.num_batches_tracked))
    assert found == pytest.approx((*wanted, 4))
    assert float(module.weight.detach()[0]) == 9


def test_the_average_reads_what_torchs_own_class_wrote():
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    theirs = AveragedModel(module, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
    mine = WeightAverage(module, constant_decay(0.9))
    for _ in range(3):
        with torch.no_grad():
            module[0].weight += 1
        module(torch.rand(2, 1, 5, 5))
        theirs.update_parameters(module)
        mine.update()
    written, own = theirs.state_dict(), mine.state_dict()
    assert written.keys() == own.keys()
    averages = [name for name, value in written.items() if value.is_floating_point()]
    assert all(torch.equal(written[name], own[name]) for name in averages)
    fresh = WeightAverage(nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)), constant_decay(0.9))
    fresh.load_state_dict(written)
    assert fresh.updates == 3
    assert all(torch.equal(fresh.state_dict()[name], written[name]) for name in averages)


@pytest.mark.parametrize("name", ["lazy", "lazyaux"])
def test_lazy_layers_get_their_sizes_where_the_network_is_built(name):
    torch.manual_seed(3)
    one = built(name)
    torch.manual_seed(3)
    same = built(name)
    state = one.state_dict()
    assert all(torch.equal(value, same.state_dict()[key]) for key, value in state.items())
    assert all(part.training for part in one.modules())
    for key, value in state.items():
        if key.endswith(("running_mean", "num_batches_tracked")):
            assert not value.any(), key
        if key.endswith("running_var"):
            assert bool((value == 1).all()), key
    found = count_agreement(baseline(name), baseline(name).spec, TASK)
    assert found.shapes == found.fvcore > 0
    assert baseline(name).amount("params", baseline(name).spec, TASK) == sum(p.numel() for p in one.parameters())


def test_the_lazy_network_of_the_cases_costs_what_its_sized_twin_costs():
    base = baseline("lazy")
    channels, pixels = 16, 36
    wanted = 9 * channels * pixels + 4 * 9 * channels**2 * pixels + 3 * channels
    assert base.macs(base.spec, TASK) == wanted


def test_an_ordinary_network_draws_nothing_for_lazy_layers():
    torch.manual_seed(0)
    module = nn.Linear(3, 2)
    state = torch.get_rng_state()
    initialise_lazy(module, 12, 1)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_lazy_layer_that_nothing_reaches_is_named():
    class Unused(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.spare = nn.LazyLinear(3), nn.LazyLinear(3)

        def forward(self, x):
            return self.first(x.flatten(1))

    with pytest.raises(BaseError, match=r"no pass over images of 12 px reaches the lazy layer of 'spare\.weight'"):
        initialise_lazy(Unused(), 12, 1)


LAYOUTS = [("rows", torch.contiguous_format), ("rowseval", torch.contiguous_format), ("position", torch.channels_last)]


@pytest.mark.parametrize(("name", "layout"), LAYOUTS)
def test_a_network_that_views_rows_is_given_rows(name, layout):
    assert layout_for(lambda: built(name), (2, 1, 12, 12), CPU) is layout


def test_only_plain_convolutions_change_their_layout():
    for name in ("standard", "five", "position"):
        module = built(name)
        strides = {key: value.stride() for key, value in module.state_dict().items()}
        after = placed(module, CPU).state_dict()
        changed = {key for key, value in after.items() if value.stride() != strides[key]}
        plain = {f"trunk.{i}.weight" for i, part in enumerate(module.trunk) if type(part) is nn.Conv2d}
        assert changed <= plain
        assert changed


@pytest.mark.parametrize("name", ["efficientnet_micro", "resnet_small", "densenet_small"])
def test_a_network_of_the_package_is_laid_out_as_torch_does_it(name):
    base = get_baseline(name)
    one, other = (base.build(base.spec, base.task) for _ in range(2))
    mine, theirs = placed(one, CPU).state_dict(), other.to(memory_format=torch.channels_last).state_dict()
    weights = {key for key, value in theirs.items() if value.dim() == 4}
    assert {key for key in weights if mine[key].stride() != theirs[key].stride()} == set()
    assert weights


@pytest.mark.parametrize("name", ["weightnorm", "rows", "lazy", "replaced", "uncopyable"])
def test_full_training_does_the_same(name, tmp_path):
    recipe = TrainRecipe(epochs=2, batch_size=8, ema=0.9, policy="none", learning_rate=1e-3)
    data = FullData(DATA.train, DATA.train.labels, DATA.val, DATA.normalization, DATA.px)
    training = FullTraining(lambda: built(name), data, recipe, 0, tmp_path)
    assert training.run(lambda _: None, lambda: False) == ""
    again = FullTraining(lambda: built(name), data, recipe, 0, tmp_path)  # goes on from the last checkpoint
    assert [point[0] for point in again.at.curve] == [1, 2]
    assert training.best_state.keys() == again.best_state.keys()
    assert all(torch.equal(value, again.best_state[key]) for key, value in training.best_state.items())


def checked(name, recipe=RECIPE):
    return list(training_findings(baseline(name), TASK, recipe, "cpu"))


@pytest.mark.parametrize("name", ["evalcache", "gridcache", "lazy", "rows", "tied"])
def test_check_base_trains_what_run_trains(name):
    (finding,) = checked(name)
    assert (finding.level, finding.check) == ("ok", "training")
    (finding,) = checked(name, replace(RECIPE, ema=0.9))
    assert finding.level == "ok"


SAID = [("larger", "ValueError: made for 8 images"), ("second", "RuntimeError: weights were folded for inference")]


@pytest.mark.parametrize(("name", "said"), SAID)
def test_what_fails_in_a_study_fails_in_check_base_with_the_same_line(name, said):
    from scalesearch.training.workers.inside import telling_whose

    base = baseline(name)
    with pytest.raises(BaseError) as caught, telling_whose(base, base.spec):
        train_proxy(lambda: built(name), DATA, RECIPE, 0)
    assert said in str(caught.value)
    (finding,) = checked(name)
    assert (finding.level, finding.check) == ("problem", "training")
    assert str(caught.value).startswith(finding.text)


def test_a_loss_that_is_not_finite_is_a_warning_of_check_base():
    (finding,) = checked("tied", replace(RECIPE, learning_rate=100.0))
    assert finding.level == "warning"
    assert "not finite in epoch" in finding.text


def test_check_base_leaves_torchs_generator_as_it_was():
    torch.manual_seed(5)
    state = torch.get_rng_state()
    checked("tied")
    assert torch.equal(torch.get_rng_state(), state)


def test_a_lazy_network_that_does_not_run_says_why():
    def build(depth, width, resolution=12, num_classes=10, in_channels=1):
        return nn.Sequential(nn.AvgPool2d(20), nn.Flatten(), nn.LazyLinear(num_classes))

    nets.fails = build
    try:
        with pytest.raises((BaseError, InfeasibleError), match=r"at depth 1, width 1, 12 px .*too small"):
            user_baseline("trained_networks:fails")
    finally:
        del nets.fails
