"""Trainings on a CUDA device that is not there: `python fake_cuda.py CASE...` gives the error of each case as JSON.

In torch's `FakeTensorMode` a tensor has a shape and a device and no numbers; what mixes two devices fails as it does on
a GPU. The project's own classes run as they are. Only what a driver would do is replaced here (see `pretend`), and the
one function that reads numbers from a device. A process of its own: what is replaced is torch's, and some builds of
torch end the process in that mode.
"""

from __future__ import annotations

import json
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, get_args
from unittest.mock import patch

import torch
from full_training import PX, QUICK, write_images
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, unset_fake_temporarily
from torch.optim.optimizer import register_optimizer_step_post_hook
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from scalesearch.data import load_dataset
from scalesearch.data.device import HeldSplit, Normalization, to_device
from scalesearch.networks.base import Task
from scalesearch.networks.registry import BASELINES, get_baseline
from scalesearch.networks.spec import NetworkSpec
from scalesearch.study.config import ProxyRecipe
from scalesearch.study.config.recipe import Augmentation, Optimizer
from scalesearch.training import average, batches, proxy, steps
from scalesearch.training.batches import Batches, ProxyData
from scalesearch.training.full import checkpoint, loop
from scalesearch.training.full import worker as full_worker
from scalesearch.training.full.loop import FullData, FullTraining
from scalesearch.training.full.planned import Planned
from scalesearch.training.full.recipe import TrainOptimizer
from scalesearch.training.full.worker import TrainSetup
from scalesearch.training.workers.base import Job
from scalesearch.training.workers.inside import ProxyWorker, WorkerSetup

CUDA = torch.device("cuda:0")
CLASSES, CHANNELS, BATCH, BATCHES = 3, 3, 4, 2
RECIPE = ProxyRecipe(
    epochs=1, batch_size=BATCH, optimizer="sgd", learning_rate=0.1, ema=0.9, clip_norm=1.0, label_smoothing=0.1,
    augmentation="flip+shift", dropout=0.2, stochastic_depth=0.2,
)  # fmt: skip


def gradients(loss: Tensor) -> None:
    """In place of `backward`, whose engine wants a driver: a gradient for each weight that the loss comes from."""
    seen, ahead = set(), [loss.grad_fn]
    while ahead:
        node = ahead.pop()
        if node is not None and node not in seen:
            seen.add(node)
            if hasattr(node, "variable"):
                weight = node.variable
                weight.grad = torch.ones_like(weight) if weight.grad is None else weight.grad + torch.ones_like(weight)
            ahead += [before for before, _ in node.next_functions]


def zeros(*values: Tensor) -> list[float]:
    """In place of `numbers`: there are none in a fake tensor."""
    assert all(isinstance(value, FakeTensor) for value in values)
    return [0.0] * sum(value.numel() for value in values)


def check_there(values: Any, what: str) -> None:
    away = {str(value.device) for value in tree_leaves(values) if isinstance(value, Tensor) and value.device != CUDA}
    assert not away, f"{what} is on {', '.join(away)} and not on {CUDA}"


def check_state(optimizer: torch.optim.Optimizer, *_: object) -> None:
    for state in optimizer.state.values():
        # torch itself keeps the counter "step" on the CPU, unless the optimizer is fused.
        check_there({name: value for name, value in state.items() if name != "step"}, "the optimizer's state")


def pretend() -> None:
    """What a driver does, for this process."""
    torch.Tensor.backward = gradients
    for module in (steps, proxy, loop):
        module.numbers = zeros
    torch.cuda.amp.common.amp_definitely_not_available = lambda: False
    torch.cuda.is_bf16_supported = lambda *_, **__: True
    proxy.resolve_device = full_worker.resolve_device = torch.device
    torch.from_numpy, torch.Tensor.numpy = outside(torch.from_numpy), outside(torch.Tensor.numpy)
    torch.cuda.mem_get_info = lambda *_: (2**34, 2**35)
    torch.cuda.memory_reserved = torch.cuda.memory_allocated = lambda *_: 0
    torch.cuda.get_rng_state = lambda *_: torch.zeros(16, dtype=torch.uint8)
    torch.cuda.set_rng_state = lambda *_: None
    register_optimizer_step_post_hook(check_state)


class ListsTogether(TorchDispatchMode):
    """What the mode does not look at: lists of tensors that one kernel takes together (averages, optimizers)."""

    def __torch_dispatch__(self, operator: Any, types: Any, arguments: Any = (), named: Any = None) -> Any:
        if operator.name().startswith(("aten::_foreach", "aten::_fused")):
            # A number of no dimension may lie on the CPU, as everywhere in torch.
            found = [value for value in tree_leaves(arguments) if isinstance(value, Tensor) and value.ndim]
            devices = {str(value.device) for value in found}
            assert len(devices) < 2, f"{operator.name()} is given tensors on {' and '.join(sorted(devices))}"
        return operator(*arguments, **(named or {}))


KERNELS = torch.library.Library("aten", "IMPL", "Meta")
"""Held while the process lives: a library takes its kernels with it."""


def sgd_kernel(parameters: list[Tensor], gradients: list[Tensor], momenta: list[Tensor], *_: Any, **__: Any) -> None:
    """torch has shapes for fused AdamW and none for fused SGD; it changes its arguments and gives nothing."""
    assert len(parameters) == len(gradients)
    assert len(momenta) in (0, len(parameters))


def outside(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function without the mode, on real numbers: building networks, images on the CPU, files."""

    def called(*arguments: Any, **named: Any) -> Any:
        with unset_fake_temporarily():
            found = function(*arguments, **named)
            return list(found) if isinstance(found, Iterator) else found

    return called


def split(px: int, labels: torch.device = CUDA) -> HeldSplit:
    count = BATCH * BATCHES
    images = torch.zeros(count, CHANNELS, px, px, dtype=torch.uint8, device=CUDA)
    return HeldSplit(images, torch.zeros(count, dtype=torch.int64, device=labels))


NORMAL = Normalization((0.5,) * CHANNELS, (0.25,) * CHANNELS)


def odd(baseline: Any) -> NetworkSpec:
    """Deeper, wider and of a resolution that no stride divides."""
    spec, rules = baseline.spec, baseline.rules
    channels = [count + divisor for count, divisor in zip(spec.channels, rules.divisors(spec), strict=True)]
    px = max(rules.min_resolution_px, spec.resolution_px // 2) + rules.resolution_step_px
    return replace(spec, depths=tuple(depth + 1 for depth in spec.depths), resolution_px=px).with_channels(channels)


def built(name: str, spec: NetworkSpec, recipe: Any) -> nn.Module:
    rates = {"dropout": 0.2, "stochastic_depth": recipe.stochastic_depth}
    return get_baseline(name).build(spec, Task(CLASSES, CHANNELS), **rates)


def short(
    name: str = "resnet_micro", *, make: Callable[..., Any] | None = None, labels: Any = CUDA, **changes: Any
) -> None:
    """A whole proxy training; then everything that the network holds is on the device."""
    baseline, recipe = get_baseline(name), replace(RECIPE, **changes)
    spec = make(baseline) if make else baseline.spec
    module = outside(built)(name, spec, recipe)
    data = ProxyData(split(spec.resolution_px, labels), split(spec.resolution_px), NORMAL, spec.resolution_px)
    outcome = proxy.train_proxy(lambda: module, data, recipe, seed=0)
    assert outcome.status == "complete", outcome
    check_there([*module.parameters(), *module.buffers()], f"{name} after its training")


def real(content: Any) -> Any:
    """Numbers in place of fake tensors, as a checkpoint holds them."""
    return tree_map_only(FakeTensor, lambda tensor: torch.zeros(tensor.shape, dtype=tensor.dtype), content)


def saved(folder: Path, number: int, content: Mapping[str, Any]) -> Path:
    averages = {name: value for name, value in content["average"].items() if name != "n_averaged"}
    check_there([content["module"], averages, content["best"]], "what a checkpoint takes")
    path: Path = outside(lambda: checkpoint.save_checkpoint(folder, number, real(content)))()
    return path


def in_full(name: str = "resnet_micro", **changes: Any) -> None:
    """A full training that is stopped in its second epoch, resumed from its checkpoint, and scored."""
    recipe = replace(QUICK, batch_size=BATCH, clip_norm=1.0, **changes)
    spec = get_baseline(name).spec
    val = split(spec.resolution_px)
    images = outside(torch.zeros)(val.images.shape, dtype=torch.uint8)
    train = HeldSplit(images, outside(torch.zeros)(len(images), dtype=torch.int64))
    data = FullData(train, val.labels, val, NORMAL, spec.resolution_px)
    told, notes = [], []
    with tempfile.TemporaryDirectory() as folder:
        make = partial(FullTraining, outside(partial(built, name, spec, recipe)), data, recipe, 0, Path(folder))
        first = make()
        try:
            first.run(told.append, lambda: first.at.epoch == 2 and first.at.step == 1)
            raise AssertionError("it was not stopped")
        except proxy.StoppedEarly:
            pass
        second = make(note=notes.append)
        check_there([*second.module.parameters(), *second.module.buffers()], "what came from a checkpoint")
        check_there([second.best_state, second.average and second.average._averages], "what came from a checkpoint")
        check_state(second.optimizer)
        assert notes == ["goes on after epoch 1, step 1"], notes
        assert second.run(told.append, lambda: False) == ""
    assert [point.epoch for point in told] == [1, 1, 2]
    check_there(second.evaluated_state(), "what is kept of a training")
    network = loop.placed(outside(built)(name, spec, recipe), CUDA, second.layout)
    network.load_state_dict(second.best_state)
    proxy.evaluate(network, second.batches(val), CUDA)


def worker_short() -> None:
    """A process's worker, from the images on: one job, and the estimate of its time."""
    baseline = get_baseline("resnet_micro")
    with tempfile.TemporaryDirectory() as folder:
        dataset = outside(load_dataset)(f"npz:{outside(write_images)(Path(folder) / 'images.npz')}")
    setup = WorkerSetup(baseline, Task(len(dataset.classes), dataset.channels), dataset, RECIPE, str(CUDA), threads=0)
    worker, spec = outside(setup.worker)(), replace(baseline.spec, resolution_px=PX)
    train, val = (to_device(images, PX, CUDA) for images in (dataset.train, dataset.val))
    data = ProxyData(train, val, Normalization((0.5,), (0.5,)), PX)
    with (
        patch.object(ProxyWorker, "data", lambda *_: data),
        patch.object(ProxyWorker, "_build", outside(ProxyWorker._build)),
    ):
        outcome = worker.run(Job(0, spec, 0), lambda _: None, lambda: False)
        assert outcome.status == "complete", outcome
        assert worker.estimate(spec) > 0


def worker_in_full() -> None:
    """The same of a full training, which scores its best weights on the test images and writes them."""
    baseline, kept = get_baseline("resnet_micro"), []
    with tempfile.TemporaryDirectory() as folder:
        dataset = outside(load_dataset)(f"npz:{outside(write_images)(Path(folder) / 'images.npz')}", with_test=True)
        planned = Planned(
            "found", "", None, (), "2x", baseline, Task(len(dataset.classes), dataset.channels),
            replace(baseline.spec, resolution_px=PX), 1, 1, QUICK, Path(folder) / "training",
        )  # fmt: skip
        worker = outside(TrainSetup("study", dataset, (planned,), str(CUDA), threads=0).worker)()
        with (
            patch.object(Planned, "build", outside(Planned.build)),
            patch.object(full_worker, "save_weights", lambda _, state, __: kept.append(state) or ""),
        ):
            outcome = worker.run(Job(0, planned.spec, 0), lambda _: None, lambda: False)
            assert outcome.status == "complete", outcome
            assert worker.estimate(planned.spec) > 0
    check_there(kept, "weights that are written")


def smallest_two() -> list[list[str]]:
    """Of each family that is registered, by its multiply-adds."""
    families: dict[str, list[str]] = {}
    for name in BASELINES:
        families.setdefault(name.partition("_")[0].rstrip("0123456789"), []).append(name)

    def macs(name: str) -> int:
        baseline = get_baseline(name)
        return baseline.macs(baseline.spec, baseline.task)

    return [sorted(names, key=macs)[:2] for names in families.values()]


def normal_on_cpu() -> Any:
    begin = Batches.__init__

    def begun(self: Batches, *arguments: Any, **named: Any) -> None:
        begin(self, *arguments, **named)
        self.mean = outside(torch.zeros)(self.mean.shape)

    return patch.object(Batches, "__init__", begun)


def moving_to_cpu(owner: Any, name: str, argument: int | None = None) -> Any:
    """What a function gives, or one of its arguments, is left on the CPU."""
    before = getattr(owner, name)

    def called(*arguments: Any, **named: Any) -> Any:
        given = [value.cpu() if place == argument else value for place, value in enumerate(arguments)]
        found = before(*given, **named)
        return found.cpu() if argument is None else found

    return patch.object(owner, name, called)


def with_a_table(baseline_built: Callable[..., nn.Module] = built) -> Any:
    """A network that keeps a tensor of its own beside its buffers, which no `.to` moves."""

    def made(*arguments: Any) -> nn.Module:
        module = baseline_built(*arguments)
        table = torch.ones(CLASSES)
        module.register_forward_hook(lambda _, __, logits: logits * table)
        return module

    return patch.object(sys.modules[__name__], "built", made)


def kept_on_cpu() -> None:
    """A full training that keeps its best weights on the CPU."""
    before = FullTraining.evaluated_state

    def moved(self: FullTraining) -> dict[str, Tensor]:
        return {name: value.cpu() for name, value in before(self).items()}

    with patch.object(FullTraining, "evaluated_state", moved):
        in_full()


PLANTS: dict[str, Callable[[], Any]] = {
    "the average": lambda: moving_to_cpu(average, "_copy"),
    "normalisation": normal_on_cpu,
    "draws": lambda: moving_to_cpu(batches, "augment", 1),
    "a network's table": with_a_table,
    "weights": lambda: patch.object(proxy, "placed", lambda module, *_: module),
}


def with_plant(name: str) -> None:
    with PLANTS[name]():
        short()


CASES: dict[str, Callable[[], None]] = {
    **{f"family {name}": partial(short, name) for name in BASELINES},
    **{f"odd {name}": partial(short, name, make=odd) for name in BASELINES},
    **{f"optimizer {name}": partial(short, optimizer=name) for name in get_args(Optimizer)},
    **{f"augmentation {kind}": partial(short, augmentation=kind) for kind in get_args(Augmentation)},
    "no average": partial(short, ema=0.0),
    **{f"full {name}": partial(in_full, optimizer=name) for name in get_args(TrainOptimizer)},
    "full (no average)": partial(in_full, ema=0.0),
    **{f"planted {name}": partial(with_plant, name) for name in PLANTS},
    "worker short": worker_short,
    "worker full": worker_in_full,
    "planted what is kept": kept_on_cpu,
    "planted labels": partial(short, labels=torch.device("cpu")),
}


def error_of(case: Callable[[], None]) -> str:
    """Empty where it runs."""
    try:
        with FakeTensorMode(allow_non_fake_inputs=True), ListsTogether():
            case()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def groups(names: list[str]) -> Iterator[str]:
    """`families` is the smallest two of each, the first at an odd size too; `every KIND` all cases of a kind."""
    for name in names:
        if name == "families":
            for least, next_one in smallest_two():
                yield from (f"family {least}", f"odd {least}", f"family {next_one}")
        elif name.startswith("every "):
            yield from (case for case in CASES if case.startswith(f"{name.removeprefix('every ')} "))
        else:
            yield name


def main() -> None:
    warnings.simplefilter("error")
    pretend()
    KERNELS.impl("_fused_sgd_", sgd_kernel)
    with (
        patch.object(loop, "save_checkpoint", saved),
        patch.object(checkpoint, "read_checkpoint", outside(checkpoint.read_checkpoint)),
        patch.object(loop, "epoch_batches", outside(loop.epoch_batches)),
        patch.object(loop, "augmented", outside(loop.augmented)),
    ):
        sys.stdout.write(f"{json.dumps({name: error_of(CASES[name]) for name in groups(sys.argv[1:])})}\n")


if __name__ == "__main__":
    main()
