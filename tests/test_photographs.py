"""A study of photographs: one decoding for all workers, studies and resumes, and what the user is told of it."""

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import made_before
from fake_executor import World
from full_training import QUICK as QUICK_FULL
from full_training import Here
from rich.console import Console
from test_pixel_store import photographs

from scalesearch.cli.progress import LiveProgress, PlainProgress, preflight_lines
from scalesearch.data.files import FileImages
from scalesearch.data.store import Shelf, StoredImages
from scalesearch.errors import StorageError
from scalesearch.search import Silent, resume, run
from scalesearch.search.ahead import plan_ahead
from scalesearch.search.verify.plans import VerifyRequest
from scalesearch.search.verify.run import verify
from scalesearch.study import StudyPaths, load_manifest
from scalesearch.study.config import config_from_dict
from scalesearch.study.manifest import PixelFacts
from scalesearch.training.full import train
from scalesearch.training.full.request import Means, TrainRequest

QUICK = {"epochs": 1, "batch_size": 20, "learning_rate": 0.1, "optimizer": "sgd"}


class Heard(Silent):
    def __init__(self):
        self.notes, self.decoded, self.plans = [], [], []

    def note(self, text):
        self.notes.append(text)

    def decoding(self, done, total):
        self.decoded.append((done, total))

    def preflight(self, plan):
        self.plans.append(plan)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("SCALESEARCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return photographs(tmp_path_factory.mktemp("study") / "p", 50)


def definition(folder: Path, **changes):
    values = {"base": "resnet_micro", "resolution": 32, "data": f"folder:{folder}", "trials": 4, "seeds": 1}
    return config_from_dict({**values, "proxy": QUICK, "device": "cpu", "workers": 2, **changes})


# --- real trainings


def test_a_second_study_of_the_same_photographs_decodes_nothing_and_gives_the_same_bits(folder, tmp_path, monkeypatch):
    first, again = Heard(), Heard()
    one = run(definition(folder), StudyPaths(tmp_path / "s" / "one"), listener=first)
    monkeypatch.setattr(FileImages, "square", lambda *_: pytest.fail("decoded again"))
    two = run(definition(folder), StudyPaths(tmp_path / "s" / "two"), listener=again)
    assert first.decoded[-1] == (15, 15) and again.decoded == []
    assert [note for note in first.notes if note.startswith("decoding 85 images once, to 65 px")]
    assert one.manifest.pixels == two.manifest.pixels == PixelFacts(65, resampling="lanczos")
    means = [[summary.mean for summary in result.budgets[0].networks] for result in (one, two)]
    assert means[0] == means[1] and None not in means[0]


# --- everything but the trainings


def world_of(folder, tmp_path, name="one", **changes):
    world, heard, paths = World(), Heard(), StudyPaths(tmp_path / "s" / name)
    run(definition(folder, **changes), paths, listener=heard, make_executor=world.executor)
    return world, heard, paths


def test_workers_get_a_store_that_every_candidate_fits_in(folder, tmp_path):
    world, heard, paths = world_of(folder, tmp_path)
    images = world.setups[0].dataset.train
    assert isinstance(images, StoredImages) and isinstance(world.setups[0].dataset.val, StoredImages)
    assert images.side >= max(job.spec.resolution_px for job in world.done)
    told = " ".join(preflight_lines(heard.plans[0]))
    assert "pixels: decoded once to 65 px (1 MB, one copy in memory for all workers), in " in told
    assert load_manifest(paths).pixels.side == images.side


@pytest.mark.slow
def test_crops_leave_room_around_the_centre_that_is_judged(folder, tmp_path):
    plain = world_of(folder, tmp_path, "plain")[0].setups[0].dataset.train.side
    crops = world_of(folder, tmp_path, "crops", proxy={**QUICK, "augmentation": "flip+crop"})
    largest = max(job.spec.resolution_px for job in crops[0].done)
    assert crops[0].setups[0].dataset.train.side * 0.875 >= largest and plain >= largest


def test_an_interrupted_decoding_is_gone_on_with_by_resume(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("scalesearch.data.store.make.AHEAD", 1)

    class Stops(Heard):
        def decoding(self, done, total):
            if done >= 64:
                raise KeyboardInterrupt

    world, paths = World(), StudyPaths(tmp_path / "s" / "one")
    with pytest.raises(KeyboardInterrupt):
        run(definition(folder), paths, listener=Stops(), make_executor=world.executor)
    heard = Heard()
    result = resume(paths, listener=heard, make_executor=world.executor)
    assert heard.decoded[0] == (64, 70) and result.complete


def test_a_full_disk_ends_before_any_training_and_the_same_study_goes_on(folder, tmp_path, monkeypatch):
    world, paths = World(), StudyPaths(tmp_path / "s" / "one")
    with monkeypatch.context() as full:
        full.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000})())
        with pytest.raises(StorageError, match=r"SCALESEARCH_CACHE"):
            run(definition(folder), paths, make_executor=world.executor)
    assert world.done == []
    assert resume(paths, make_executor=world.executor).complete


def test_a_store_that_went_bad_between_two_runs_is_made_anew(folder, tmp_path):
    world, _, paths = world_of(folder, tmp_path)
    file = world.setups[0].dataset.train.file.path
    right = file.read_bytes()
    file.write_bytes(right[:-1] + bytes([right[-1] ^ 1]))
    heard = Heard()
    verify(paths, VerifyRequest(seeds=1, rates=False), listener=heard, make_executor=world.executor)
    assert (70, 70) in heard.decoded and file.read_bytes() == right


@pytest.mark.slow
def test_verify_reads_the_study_s_store_and_a_larger_one_only_for_larger_networks(folder, tmp_path):
    world, _, paths = world_of(folder, tmp_path)
    own = world.setups[0].dataset.train.side
    verify(paths, VerifyRequest(seeds=1, rates=False), make_executor=world.executor)
    assert world.setups[-1].dataset.train.side == own
    before = len(world.done)
    verify(paths, VerifyRequest(seeds=1, rates=False, phis=(5.0,)), make_executor=world.executor)
    largest = max(job.spec.resolution_px for job in world.done[before:])
    assert largest > own and world.setups[-1].dataset.train.side >= largest


def test_a_study_from_before_there_was_a_store_goes_on_as_it_began(folder, tmp_path):
    world, _, paths = world_of(folder, tmp_path)
    text = paths.definition.read_text()
    assert "[made.pixels]" in text
    made_before(paths)
    paths.definition.write_text(text.partition("[made.pixels]")[0])
    assert load_manifest(paths).pixels == PixelFacts()
    verify(paths, VerifyRequest(seeds=1, rates=False), make_executor=world.executor)
    assert isinstance(world.setups[-1].dataset.train, FileImages)


def test_a_study_from_before_stores_had_a_margin_goes_on_by_its_own(folder, tmp_path):
    world, _, paths = world_of(folder, tmp_path)
    text = paths.definition.read_text()
    made_before(paths)
    old = text.replace('resampling = "lanczos"\n', "").replace("side = 65\n", "side = 64\n")
    paths.definition.write_text(old)
    assert load_manifest(paths).pixels == PixelFacts(64)
    verify(paths, VerifyRequest(seeds=1, rates=False), make_executor=world.executor)
    facts = world.setups[-1].dataset.train.facts
    assert (facts.side, facts.resampling) == (64, "bilinear")


def test_more_than_memory_holds_is_read_block_by_block_and_said(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("scalesearch.search.pixels.free_bytes", lambda _: 500_000)
    world, heard, paths = world_of(folder, tmp_path)
    assert world.setups[0].dataset.train.by_blocks and load_manifest(paths).pixels.by_blocks
    assert "more than memory holds: read block by block" in " ".join(preflight_lines(heard.plans[0]))
    monkeypatch.setattr("scalesearch.search.pixels.free_bytes", lambda _: 10**12)
    verify(paths, VerifyRequest(seeds=1, rates=False), make_executor=world.executor)
    assert world.setups[-1].dataset.train.by_blocks  # the order of images is the study's, whatever the machine


def test_a_plan_decodes_a_few_images_and_writes_nothing(folder, tmp_path, own_cache, monkeypatch):
    decoded = []
    own = FileImages.square
    monkeypatch.setattr(FileImages, "square", lambda self, index, *way: decoded.append(index) or own(self, index, *way))
    monkeypatch.setattr("scalesearch.search.pixels.SAMPLE", 10)
    world = World()
    plan = plan_ahead(definition(folder), "x", world.executor)
    assert not (own_cache / "pixels").exists() and len(decoded) <= 20
    assert plan.preflight.decoding_seconds > 0
    assert "that takes about" in " ".join(preflight_lines(plan.preflight))


def test_a_plan_knows_that_the_photographs_are_decoded_already(folder, tmp_path):
    world_of(folder, tmp_path)
    assert plan_ahead(definition(folder), "x", World().executor).preflight.decoding_seconds == 0


def test_arrays_stay_in_memory(tmp_path, own_cache):
    draw = np.random.default_rng(0)
    x, y = draw.integers(0, 256, (60, 32, 32), np.uint8), np.arange(60) % 3
    np.savez(tmp_path / "x.npz", x=x, y=y)
    world, paths = World(), StudyPaths(tmp_path / "s" / "one")
    config = replace(definition(tmp_path), data=f"npz:{tmp_path / 'x.npz'}")
    run(config, paths, make_executor=world.executor)
    assert load_manifest(paths).pixels == PixelFacts() and not (own_cache / "pixels").exists()
    assert not isinstance(world.setups[0].dataset.train, StoredImages)


# --- full training


def trained(paths: StudyPaths, loaders: int, geometry: str = "flip+crop", seeds: int = 1, **changes):
    here = Here(**changes)
    request = TrainRequest(replace(QUICK_FULL, geometry=geometry), seeds=seeds)
    done = train(paths, request, Means(workers=1, loaders=loaders), make_executor=here.executor)
    return here, done


@pytest.mark.slow
def test_full_training_reads_a_store_of_all_images_with_any_number_of_loaders(folder, tmp_path):
    """The study saw 70 of the images; so does its training here, and the test images are judged by at the end."""
    curves = []
    for name, loaders in (("none", 0), ("two", 2)):
        _, _, paths = world_of(folder, tmp_path, name)
        here, done = trained(paths, loaders)
        images = here.setups[0].dataset
        assert all(isinstance(split, StoredImages) for split in (images.train, images.val, images.test))
        assert round(images.train.side * 0.875) >= done[0].spec.resolution_px and done[0].scored == "test"
        curves.append(done[0].curve)
    assert curves[0] == curves[1]


@pytest.mark.slow
def test_an_interrupted_full_training_on_photographs_ends_in_the_same_numbers(folder, tmp_path):
    results = []
    for name, changes in (("whole", {}), ("cut", {"interrupt_after": 1, "workers": 2})):
        _, _, paths = world_of(folder, tmp_path, name)
        if changes:
            with pytest.raises(KeyboardInterrupt):
                trained(paths, 0, seeds=2, **changes)
        results.append([(one.seed, one.curve, one.accuracy) for one in trained(paths, 0, seeds=2)[1]])
    assert results[0] == results[1] and len(results[0]) == 2


# --- what is shown


def heard_by(view_of, monkeypatch) -> str:
    out, now = io.StringIO(), [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    view = view_of(Console(file=out, width=100))
    for done in range(0, 1001, 100):
        view.decoding(done, 1000)
        now[0] += 3.0
    return out.getvalue()


def test_a_pipe_hears_of_decoding_now_and_then(monkeypatch):
    lines = heard_by(PlainProgress, monkeypatch).splitlines()
    assert lines == ["decoded 400 of 1,000 images, 18 s left", "decoded 800 of 1,000 images, 6 s left"]


def test_a_terminal_sees_how_far_decoding_is():
    view = LiveProgress(Console(file=io.StringIO(), width=100))
    view.decoding(0, 1000)
    view.decoding(500, 1000)
    assert "decoded 500 of 1,000 images" in str(view._view())
    view.decoding(1000, 1000)
    assert "decoded" not in str(view._view())
    view.__exit__()


def test_the_command_lists_checks_and_clears(folder, tmp_path, call):
    world_of(folder, tmp_path)
    shelf = Shelf()
    listed = json.loads(call("cache", "list", "--json")[1])
    assert {one["images"] for one in listed["stores"]} == {70, 15} and listed["folder"] == str(shelf.folder)
    assert call("cache", "check")[1].count("is whole") == 2
    file = next(shelf.folder.glob("*/pixels.bytes"))
    file.write_bytes(file.read_bytes()[:-1] + b"\0")
    code, _, error = call("cache", "check")
    assert code == 1 and "scalesearch cache clear" in error
    code, _, error = call("cache", "clear")
    assert code == 2 and "--yes" in error and len(shelf.kept()) == 2
    assert call("cache", "clear", "nosuch", "--yes")[0] == 2
    code, said, _ = call("cache", "clear", "--yes")
    assert code == 0 and said.startswith("2 stores taken away, ")
    assert call("cache")[1].startswith("0 stores, 0.0 MB in ")
