"""One full training: its images, its steps, its checkpoints, and every way of being interrupted."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import itertools
import math
import pickle
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import fill
from full_training import QUICK, Tiny, flipped, full_data, same
from torch import nn
from torchvision import transforms

from scalesearch.data.device import HeldSplit
from scalesearch.errors import CheckpointError, StorageError
from scalesearch.training.batches import Framing, draw_key
from scalesearch.training.full import loop
from scalesearch.training.full.checkpoint import checkpoints, clear_checkpoints, read_checkpoint, save_checkpoint
from scalesearch.training.full.images import AugmentedImages, augmented, epoch_batches
from scalesearch.training.full.loop import FullTraining
from scalesearch.training.full.recipe import POLICIES, TrainRecipe
from scalesearch.training.proxy import StoppedEarly, evaluate

RECIPE = dataclasses.replace(QUICK, epochs=4, batch_size=20, ema=0.9)
STEPS = 4


# images


def pictures(count: int = 24, channels: int = 3, px: int = 12) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randint(0, 256, (count, channels, px, px), dtype=torch.uint8, generator=generator)


def split_of(count: int) -> HeldSplit:
    return HeldSplit(pictures(count), torch.zeros(count, dtype=torch.int64))


def drawn(x, recipe: TrainRecipe, batches: list[list[int]], loaders: int = 0, seed: int = 5, epoch: int = 2):
    """Image number -> its augmented pixels."""
    split, framing = HeldSplit(x, torch.zeros(len(x), dtype=torch.int64)), Framing(x.shape[-1], recipe.geometry)
    found = augmented(AugmentedImages(split, framing, recipe, seed, epoch), batches, loaders)
    return {
        i: image for index, batch in zip(batches, found, strict=True) for i, image in zip(index, batch, strict=True)
    }


def assert_equal(first: dict[int, torch.Tensor], second: dict[int, torch.Tensor]) -> None:
    for i in first.keys() & second.keys():
        assert torch.equal(first[i], second[i]), f"image {i} depends on more than its key"


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_depends_on_its_key_alone(policy, channels):
    recipe = TrainRecipe(policy=policy)
    x = pictures(channels=channels)
    whole = drawn(x, recipe, [list(range(24))])
    assert whole[0].shape == x[0].shape
    assert whole[0].dtype == torch.uint8
    assert_equal(whole, drawn(x, recipe, [[i] for i in reversed(range(24))]))
    assert_equal(whole, drawn(x, recipe, [[7, 3, 11], [20, 0]]))
    assert_equal(whole, drawn(x[:12], recipe, [[5, 2, 9]]))
    assert any(not torch.equal(whole[i], x[i]) for i in range(24))


def test_processes_that_prepare_images_change_nothing():
    recipe, x = TrainRecipe(policy="autoaugment"), pictures()
    batches = [[4, 1, 9], [0, 2], [23, 5, 6, 7]]
    assert_equal(drawn(x, recipe, batches), drawn(x, recipe, batches, loaders=2))


@pytest.mark.parametrize("policy", ["autoaugment", "randaugment", "trivialaugment"])
def test_two_equal_images_of_a_batch_get_different_draws(policy):
    """torchvision draws once for all images of a batch, and nothing tells that it did."""
    recipe = TrainRecipe(policy=policy, geometry="none")
    x = pictures(1).expand(16, -1, -1, -1).contiguous()
    found = drawn(x, recipe, [list(range(16))])
    assert len({image.numpy().tobytes() for image in found.values()}) > 4


def test_seed_and_epoch_give_other_draws():
    recipe, x, whole = TrainRecipe(policy="autoaugment"), pictures(), [list(range(24))]
    found = [drawn(x, recipe, whole, seed=s, epoch=e) for s, e in ((0, 1), (0, 2), (1, 1))]
    for first, second in itertools.combinations(found, 2):
        assert sum(torch.equal(first[i], second[i]) for i in range(24)) < 12
    keys = {draw_key(s, e, i) for s in range(20) for e in range(20) for i in range(20)}
    assert len(keys) == 8000
    assert all(0 <= key < 2**63 for key in keys)


@pytest.mark.parametrize("loaders", [0, 1])
def test_the_global_generator_is_left_alone(loaders):
    torch.manual_seed(11)
    before = torch.get_rng_state()
    drawn(pictures(), TrainRecipe(policy="autoaugment"), [[0, 1], [2]], loaders=loaders)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_policy_is_torchvisions_with_the_generator_at_the_images_key():
    x = pictures(6)
    recipe = TrainRecipe(policy="autoaugment", policy_data="cifar10", geometry="none")
    found = drawn(x, recipe, [list(range(6))], seed=8, epoch=3)
    theirs = transforms.AutoAugment(transforms.AutoAugmentPolicy.CIFAR10)
    for i in range(6):
        torch.manual_seed(draw_key(8, 3, i))
        wanted = theirs(transforms.ToPILImage()(x[i]))
        assert np.array_equal(found[i].permute(1, 2, 0).numpy(), np.array(wanted))


def test_an_epoch_is_every_image_once_but_those_that_fill_no_batch():
    batches = epoch_batches(split_of(23), TrainRecipe(batch_size=5), 0, 1)
    seen = [i for batch in batches for i in batch]
    assert [len(batch) for batch in batches] == [5] * 4
    assert len(set(seen)) == 20
    assert set(seen) <= set(range(23))
    assert epoch_batches(split_of(3), TrainRecipe(batch_size=5), 0, 1)[0] != [0, 1, 2, 3, 4]
    assert batches != epoch_batches(split_of(23), TrainRecipe(batch_size=5), 0, 2)
    assert batches != epoch_batches(split_of(23), TrainRecipe(batch_size=5), 1, 1)


# the loop


def training(folder: Path, recipe: TrainRecipe = RECIPE, notes: list[str] | None = None, **changes) -> FullTraining:
    note = (lambda _: None) if notes is None else notes.append
    return FullTraining(Tiny, full_data(), recipe, 3, folder, note=note, **changes)


def stop_after(steps: int):
    """A `should_stop` that says so before step number `steps` of this process."""
    count = itertools.count()
    return lambda: next(count) >= steps


def trained(folder: Path, recipe: TrainRecipe = RECIPE, stops: tuple[int, ...] = (), notes: list[str] | None = None):
    """A training that was interrupted after so many steps of each process, and then ended."""
    for steps in stops:
        one = training(folder, recipe, notes)
        with pytest.raises(StoppedEarly):
            one.run(lambda _: None, stop_after(steps))
    one = training(folder, recipe, notes)
    told = []
    assert one.run(told.append, lambda: False) == ""
    assert [dataclasses.astuple(point) for point in told] == [tuple(p) for p in one.at.curve]
    return one


def assert_same_bits(first: FullTraining, second: FullTraining) -> None:
    assert first.at.curve == second.at.curve
    assert first.at.best == second.at.best
    assert same(first.best_state, second.best_state)
    assert same(first.module.state_dict(), second.module.state_dict())


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> FullTraining:
    return trained(tmp_path_factory.mktemp("whole"))


def test_it_learns(whole):
    assert whole.at.best_accuracy > 0.8
    assert len(whole.at.curve) == 4
    assert whole.at.curve[-1][1] < whole.at.curve[0][1]


@pytest.mark.parametrize(
    "stops",
    [(0,), (1,), (STEPS - 1,), (STEPS,), (STEPS + 2,), (3 * STEPS + 1,), (2, 3), (STEPS, STEPS), (1, 0, 0, 5)],
    ids=str,
)
def test_interrupted_anywhere_it_ends_with_the_same_bits(tmp_path, whole, stops):
    assert_same_bits(trained(tmp_path, stops=stops), whole)


class Drawing(Tiny):
    """It drops by NumPy's and by Python's own generator, as some published code does."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            x = x * (1 + 0.1 * float(np.random.standard_normal()) + 0.1 * random.gauss(0.0, 1.0))
        return super().forward(x)


@pytest.mark.parametrize("stops", [(1,), (STEPS,), (STEPS + 2, 1)], ids=str)
def test_a_network_that_draws_from_numpy_goes_on_where_it_was(tmp_path, monkeypatch, stops):
    monkeypatch.setitem(globals(), "Tiny", Drawing)
    once = trained(tmp_path / "once")
    np.random.seed(5)
    random.seed(5)
    assert_same_bits(trained(tmp_path / "again"), once)  # whatever was drawn before
    assert_same_bits(trained(tmp_path / "twice", stops=stops), once)


@pytest.mark.parametrize(
    "changes",
    [
        {"ema": 0.0},
        {"policy": "autoaugment"},
        {"optimizer": "sgd"},
        {"optimizer": "adamw", "learning_rate": 1e-3},
        {"patience": 0.25, "epochs": 4},
    ],
    ids=str,
)
def test_so_it_does_with_any_recipe(tmp_path, changes):
    recipe = dataclasses.replace(RECIPE, **{"epochs": 3, **changes})
    once = trained(tmp_path / "once", recipe)
    assert_same_bits(trained(tmp_path / "twice", recipe, stops=(STEPS + 1, 2)), once)


def test_a_kill_loses_steps_and_no_bits(tmp_path, whole):
    """What a kill leaves is a checkpoint of any earlier moment: here every one that was ever written."""
    saved: list[tuple[str, bytes]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "SAVE_EVERY_SECONDS", -1.0)
        patch.setattr(loop, "save_checkpoint", _keeping(saved))
        one = training(tmp_path / "all")
        one.run(lambda _: None, lambda: False)
    assert_same_bits(one, whole)
    assert len(saved) == 4 * STEPS
    for number in (0, 3, 4, 10, len(saved) - 1):
        name, data = saved[number]
        place = tmp_path / str(number)
        place.mkdir()
        (place / name).write_bytes(data)
        assert_same_bits(trained(place), whole)


def _keeping(saved: list[tuple[str, bytes]]):
    def save(folder, number, content):
        path = save_checkpoint(folder, number, content)
        assert path == checkpoints(folder)[0], "the newest must come first"
        saved.append((path.name, path.read_bytes()))
        return path

    return save


def test_seeds_differ_and_a_seed_repeats(tmp_path, whole):
    assert_same_bits(trained(tmp_path / "again"), whole)
    other = FullTraining(Tiny, full_data(), RECIPE, 4, tmp_path / "other")
    other.run(lambda _: None, lambda: False)
    assert not same(other.best_state, whole.best_state)


def test_loaders_change_no_bit(tmp_path):
    recipe = dataclasses.replace(RECIPE, epochs=1, policy="trivialaugment")
    with_none = trained(tmp_path / "none", recipe)
    two = training(tmp_path / "two", recipe, loaders=2)
    two.run(lambda _: None, lambda: False)
    assert_same_bits(two, with_none)


def planted_evaluations(monkeypatch, accuracies):
    given = iter(accuracies)

    def evaluated(module, batches, device, precision):
        loss, _ = evaluate(module, batches, device)
        return loss, next(given)

    monkeypatch.setattr(loop, "evaluate", evaluated)


@pytest.mark.parametrize(
    ("accuracies", "patience", "best", "epochs"),
    [
        ((0.1, 0.5, 0.4, 0.45, 0.3, 0.9), 0.0, 6, 6),
        ((0.1, 0.5, 0.4, 0.45, 0.3, 0.9), 0.5, 2, 5),
        ((0.5, 0.5, 0.5, 0.5, 0.5, 0.5), 0.3, 1, 3),
        ((0.1, 0.2, 0.3, 0.4, 0.5, 0.6), 0.1, 6, 6),
        ((0.0, 0.0, 0.0, 0.0, 0.0, 0.0), 0.0, 1, 6),
        ((0.1, 0.2, 0.1, 0.3, 0.1, 0.1), 0.3, 4, 6),
    ],
)
def test_the_best_epoch_is_kept_and_patience_ends(tmp_path, monkeypatch, accuracies, patience, best, epochs):
    recipe = dataclasses.replace(RECIPE, epochs=6, patience=patience)
    planted_evaluations(monkeypatch, accuracies)
    one = training(tmp_path)
    one = FullTraining(Tiny, full_data(), recipe, 3, tmp_path)
    states = []
    one.run(lambda _: states.append(one.evaluated_state()), lambda: False)
    assert (one.at.best, len(one.at.curve)) == (best, epochs)
    assert same(one.best_state, states[best - 1])
    assert one.at.best_accuracy == accuracies[best - 1]


def test_patience_is_not_counted_anew_after_an_interruption(tmp_path, monkeypatch):
    recipe = dataclasses.replace(RECIPE, epochs=10, patience=0.3)
    planted_evaluations(monkeypatch, (0.5, 0.4, 0.4, 0.4, 0.9))
    one = trained(tmp_path, recipe, stops=(3 * STEPS,))
    assert (one.at.best, len(one.at.curve)) == (1, 4)
    again = training(tmp_path, recipe)
    assert again.run(lambda _: None, lambda: False) == ""
    assert len(again.at.curve) == 4


def test_the_average_is_what_is_scored_and_kept(tmp_path):
    one = trained(tmp_path / "with")
    assert not same(one.best_state, one.module.state_dict())
    bare = trained(tmp_path / "without", dataclasses.replace(RECIPE, ema=0.0))
    assert bare.average is None
    if bare.at.best == 4:
        assert same(bare.best_state, bare.module.state_dict())


def test_the_average_is_the_closed_form(tmp_path):
    recipe = dataclasses.replace(RECIPE, ema=0.5)
    one = training(tmp_path, recipe)
    wanted: dict[str, torch.Tensor] = {}
    for update in range(6):
        one._descend(*next(one._batches(1)))
        decay = min(0.5, (1 + update) / (10 + update))
        for name, value in one.module.state_dict().items():
            old = wanted.get(name, value)
            wanted[name] = (old + (value - old) * (1 - decay) if value.is_floating_point() else value).clone()
    for name, value in one.evaluated_state().items():
        torch.testing.assert_close(value, wanted[name], rtol=1e-5, atol=1e-6)


def test_the_recipe_reaches_batch_norm_the_loss_and_the_rate(tmp_path, monkeypatch):
    recipe = dataclasses.replace(RECIPE, bn_momentum=0.03, label_smoothing=0.2)
    seen = []
    real = torch.nn.functional.cross_entropy
    monkeypatch.setattr(
        torch.nn.functional,
        "cross_entropy",
        lambda *a, **k: (seen.append(k.get("label_smoothing")), real(*a, **k))[1],
    )
    one = training(tmp_path, recipe)
    one.run(lambda _: None, stop_never)
    assert one.module.norm.momentum == 0.03
    assert one.module.norm.momentum == 0.03
    assert seen.count(0.2) == 4 * STEPS
    assert one.optimizer.param_groups[0]["lr"] == loop.learning_rate(recipe, 4 * STEPS - 1, STEPS)


def stop_never() -> bool:
    return False


@pytest.mark.parametrize("epoch", [1, 2])
def test_a_loss_that_is_not_finite_ends_it_with_a_sentence(tmp_path, monkeypatch, epoch):
    one = training(tmp_path)
    real, count = one._descend, itertools.count()
    bad = torch.tensor(math.nan)
    monkeypatch.setattr(one, "_descend", lambda *b: bad if next(count) == (epoch - 1) * STEPS + 1 else real(*b))
    assert one.run(lambda _: None, stop_never) == f"the loss was not finite in epoch {epoch}"
    assert len(one.at.curve) == epoch - 1


def test_fewer_images_than_a_batch_are_one_step(tmp_path):
    one = FullTraining(Tiny, full_data(train=12), RECIPE, 0, tmp_path)
    one.run(lambda _: None, stop_never)
    assert one.steps == 1
    assert len(one.at.curve) == 4


# checkpoints


@pytest.fixture(scope="module")
def halfway(tmp_path_factory) -> Path:
    """A training stopped in its third epoch."""
    folder = tmp_path_factory.mktemp("halfway")
    with pytest.raises(StoppedEarly):
        training(folder).run(lambda _: None, stop_after(2 * STEPS + 2))
    return folder


@pytest.fixture
def stopped(halfway, tmp_path) -> Path:
    for path in checkpoints(halfway):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def renamed(path: Path, data: bytes) -> Path:
    """Other content under a name that carries its own SHA-256."""
    number = path.name.split("-")[1]
    path.unlink()
    new = path.with_name(f"checkpoint-{number}-{hashlib.sha256(data).hexdigest()}.pt")
    new.write_bytes(data)
    return new


def saved(content: object) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def test_the_two_newest_are_kept(stopped):
    assert len(checkpoints(stopped)) == 2
    first, second = (read_checkpoint(path)["at"] for path in checkpoints(stopped))
    assert ((first["epoch"], first["step"]), (second["epoch"], second["step"])) == ((3, 2), (3, 0))


def test_one_that_is_newer_by_its_number_is_newest_whatever_its_digest(tmp_path):
    for number in (9, 10, 2, 999_999_999, 1_000_000_000):
        save_checkpoint(tmp_path, number, {"number": number})
    assert [read_checkpoint(path)["number"] for path in checkpoints(tmp_path)] == [1_000_000_000, 999_999_999]


def test_the_one_just_written_is_never_let_go(tmp_path):
    """A training that starts anew, all its checkpoints refused by hand, has low numbers again."""
    for number in (50, 60):
        save_checkpoint(tmp_path, number, {"number": number})
    save_checkpoint(tmp_path, 1, {"number": 1})
    assert 1 in [read_checkpoint(path)["number"] for path in checkpoints(tmp_path)]


@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.99, 0.9999])
def test_a_truncated_one_is_refused_and_the_previous_used(stopped, whole, part):
    newest = checkpoints(stopped)[0]
    data = newest.read_bytes()
    newest.write_bytes(data[: int(part * len(data))])
    notes: list[str] = []
    assert_same_bits(trained(stopped, notes=notes), whole)
    assert notes[0] == (
        f"{newest.name} is truncated or altered: its SHA-256 is not the one in its name; the previous one is used"
    )
    assert notes[1:] == ["goes on after epoch 2"]
    assert (stopped / f"{newest.name}.refused").exists()


def test_one_altered_bit_anywhere_is_noticed(stopped):
    newest = checkpoints(stopped)[0]
    data = newest.read_bytes()
    draw = random.Random(0)
    for bit in [0, 8 * len(data) - 1, *(draw.randrange(8 * len(data)) for _ in range(60))]:
        newest.write_bytes(flipped(data, bit))
        with pytest.raises(CheckpointError, match="truncated or altered"):
            read_checkpoint(newest)


class Burglar:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return (Path.touch, (self.mark,))


@pytest.mark.parametrize("form", ["pickle", "torch", "old torch", "hidden"])
def test_pickled_code_does_not_run_whatever_its_name_says(stopped, whole, form):
    newest, mark = checkpoints(stopped)[0], stopped / "burgled"
    file = io.BytesIO()
    if form == "hidden":
        torch.save({**read_checkpoint(newest), "at": Burglar(mark)}, file)
    elif form == "pickle":
        pickle.dump(Burglar(mark), file)
    else:
        torch.save({"at": Burglar(mark)}, file, _use_new_zipfile_serialization=form == "torch")
    bad = renamed(newest, file.getvalue())
    with pytest.raises(CheckpointError, match="holds more than tensors and plain values"):
        read_checkpoint(bad)
    notes: list[str] = []
    assert_same_bits(trained(stopped, notes=notes), whole)
    assert not mark.exists()
    assert bad.name in notes[0]
    assert "\n" not in notes[0]
    assert notes[0].endswith("the previous one is used")


def broken(content: dict, how: str) -> object:
    if how == "no dict":
        return [1, 2]
    if how == "another network":
        return {**content, "module": nn.Linear(2, 2).state_dict()}
    if how == "another optimizer":
        return {**content, "optimizer": torch.optim.SGD(nn.Linear(2, 2).parameters()).state_dict()}
    if how == "a newer version's":
        return {**content, "at": {**content["at"], "colour": "red"}}
    if how == "no generator":
        return {**content, "generators": {}}
    return {name: value for name, value in content.items() if name != how}


@pytest.mark.parametrize(
    "how",
    ["no dict", "another network", "another optimizer", "a newer version's", "no generator", "at", "average", "best"],
)
def test_another_content_under_a_right_name_is_refused(stopped, whole, how):
    newest = checkpoints(stopped)[0]
    bad = renamed(newest, saved(broken(read_checkpoint(newest), how)))
    notes: list[str] = []
    assert_same_bits(trained(stopped, notes=notes), whole)
    assert notes[0].startswith(f"{bad.name} is not ")
    assert notes[0].endswith("; the previous one is used")
    assert "\n" not in notes[0]


@pytest.mark.parametrize("how", ["truncated", "half taken"])
def test_when_all_are_refused_it_starts_anew_and_says_so(stopped, whole, how):
    for path in checkpoints(stopped):
        if how == "truncated":
            path.write_bytes(path.read_bytes()[:-1])
        else:  # the network's weights can be taken, the generator's state cannot
            renamed(path, saved({**read_checkpoint(path), "generators": {}}))
    notes: list[str] = []
    assert_same_bits(trained(stopped, notes=notes), whole)
    assert [note.rpartition("; ")[2] for note in notes] == ["the previous one is used", "the training starts anew"]


def test_a_checkpoint_that_there_is_no_memory_for_is_not_refused(stopped, monkeypatch):
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("no")

    monkeypatch.setattr(FullTraining, "_restore", full)
    with pytest.raises(torch.OutOfMemoryError):
        training(stopped)
    assert len(checkpoints(stopped)) == 2


def test_what_goes_on_is_told(stopped):
    notes: list[str] = []
    training(stopped, notes=notes)
    assert notes == ["goes on after epoch 2, step 2"]


def test_a_full_disk_keeps_the_old_one(small_disk, whole):
    one = training(small_disk)
    with pytest.raises(StoppedEarly):
        one.run(lambda _: None, stop_after(STEPS + 1))
    before = [path.name for path in checkpoints(small_disk)]
    ballast = fill(small_disk, leave=100)
    with pytest.raises(StorageError, match=r"cannot write to .*; what was saved before is kept"):
        training(small_disk).run(lambda _: None, stop_after(2 * STEPS))
    assert [path.name for path in checkpoints(small_disk)] == before
    assert not list(small_disk.glob(".checkpoint*"))
    ballast.unlink()
    assert_same_bits(trained(small_disk), whole)


def test_what_a_kill_left_half_written_goes_with_the_others(stopped):
    (stopped / ".checkpoint-000000001-abc.pt.x1y2").write_bytes(b"half")
    clear_checkpoints(stopped)
    assert list(stopped.iterdir()) == []


def test_no_checkpoint_where_there_is_no_folder(tmp_path):
    assert checkpoints(tmp_path / "none") == []
    clear_checkpoints(tmp_path / "none")
