"""What `run`, `show` and `verify` say of the images, and what a study keeps of it; nothing is trained."""

from __future__ import annotations

import json
import os
import shutil
import tomllib
from dataclasses import replace

import numpy as np
import pytest
from conftest import made_before
from fake_executor import World
from PIL import Image
from rich.console import Console
from synthetic import Plan as Synthetic
from synthetic import manifest_of, records_of

from scalesearch.analysis.result import compute_result
from scalesearch.analysis.serialize import result_to_dict
from scalesearch.cli.progress import preflight_lines
from scalesearch.errors import ConfigError, DataError, StudyError
from scalesearch.report import html_report, render_result
from scalesearch.scaling.cost import closed_form
from scalesearch.search import records, resume, run
from scalesearch.search.prepare import data_facts, make_manifest, prepare
from scalesearch.search.verify.plans import VerifyRequest
from scalesearch.search.verify.run import verify
from scalesearch.study import StudyPaths, create_study, load_manifest
from scalesearch.study.config import config_from_dict
from scalesearch.study.manifest import DataFacts, manifest_from_dict, manifest_to_dict
from scalesearch.training.watch import Silent


@pytest.fixture(autouse=True)
def counted_in_closed_form(monkeypatch):
    monkeypatch.setattr(records, "count", closed_form)


def picture(seed, px=28):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (px, px), np.uint8))


def folder_of(root, splits=("Training", "Testing"), classes=("glioma", "notumor"), n=10):
    """Grey pictures, every one another, in class folders below split folders."""
    seed = 0
    for split in splits:
        for name in classes:
            (root / split / name).mkdir(parents=True)
            for index in range(n):
                picture(seed).save(root / split / name / f"{index}.png")
                seed += 1
    return root


def definition(data, **changes):
    return config_from_dict({"data": data, "trials": 3, "seeds": 2, "workers": 2, **changes})


def new(tmp_path, data, **changes):
    paths = StudyPaths(tmp_path / "s")
    run(definition(data, **changes), paths, make_executor=World().executor)
    return paths


class Watching(Silent):
    """Keeps the first screen."""

    def __init__(self):
        self.lines: list[str] = []

    def preflight(self, plan):
        self.lines = preflight_lines(plan)


def told(tmp_path, data, world=None):
    """The first screen of a new study, its result in the terminal and as a page, and the result."""
    watching = Watching()
    made = run(
        definition(data), StudyPaths(tmp_path / "s"), listener=watching, make_executor=(world or World()).executor
    )
    console = Console(width=200, color_system=None)
    with console.capture() as capture:
        console.print(render_result(made))
    return watching.lines, capture.get(), html_report(made, {}), made


def test_the_first_screen_tells_classes_splits_and_what_was_left_out(tmp_path):
    root = folder_of(tmp_path / "mri")
    (root / "Training" / "glioma" / "notes.txt").write_text("x")
    (root / "Training" / "glioma" / "gone.png").symlink_to("/mnt/gone.png")
    (root / "extra").mkdir()
    picture(99).save(root / "extra" / "x.png")
    shutil.copy(root / "Training" / "glioma" / "0.png", root / "Testing" / "notumor" / "0.png")
    screen, terminal, page, result = told(tmp_path, f"folder:{root}")
    identical = "1 of 20 test images is also among the training or validation images"
    assert screen[1:9] == [
        f"data folder:{root}: 16 training and 4 validation images, 2 classes, 1 channel, 28 px",
        "  classes: glioma, notumor",
        "  splits: train is Training/, test is Testing/, by name and class folders",
        "  guessing: always guessing the largest class gives 50.0 %",
        "  note: folder 'extra' is not used (1 image): it is neither train, val nor test",
        "  note: left out: 1 dangling link, 1 file ending in .txt",
        "  note: no validation split: 20 % of train was set aside (stratified, seed 0)",
        f"  warning: {identical} (the first is 'Testing/notumor/0.png'): accuracies on them tell nothing of unseen "
        "images",
    ]
    assert terminal.startswith(f"data: {identical}")
    assert f'<p class="warning">data: {identical}' in page and "<dt>classes</dt><dd>glioma, notumor</dd>" in page
    kept = result_to_dict(result)["data"]
    assert kept["class_names"] == ["glioma", "notumor"] and kept["majority_share"] == 0.5
    assert kept["splits"].startswith("train is Training/") and len(kept["warnings"]) == 1


def test_of_many_classes_the_first_ten_are_named(tmp_path):
    root = folder_of(tmp_path / "many", ("",), [f"c{index:02d}" for index in range(12)], 7)
    screen, _, _, result = told(tmp_path, f"folder:{root}")
    assert "  classes: c00, c01, c02, c03, c04, c05, c06, c07, c08, c09, ... (12 in all)" in screen
    assert "  splits: no folders of splits: the 12 folders are the classes" in screen
    assert len(result.manifest.data.class_names) == 10


def unbalanced(root, counts=(76, 1, 1, 1, 1)):
    """95 % of one class; pictures that tell nothing."""
    y = np.repeat(np.arange(5), counts)
    x = np.random.default_rng(0).integers(0, 256, (len(y) * 2, 28, 28), np.uint8)
    np.savez(root / "x.npz", x=x[: len(y)], y=y, x_val=x[len(y) :], y_val=y)
    return f"npz:{root / 'x.npz'}"


@pytest.mark.parametrize(("accuracy", "learned"), [(0.95, False), (0.99, True)])
def test_accuracies_stand_beside_what_guessing_gives(tmp_path, accuracy, learned):
    world = World(accuracy=lambda spec, seed: accuracy + seed * 1e-5)
    screen, terminal, page, _ = told(tmp_path, unbalanced(tmp_path), world)
    guessing = "always guessing the largest class gives 95.0 %"
    assert f"  guessing: {guessing}" in screen
    [line] = [line for line in terminal.splitlines() if line.startswith("validation accuracy:")]
    assert guessing in line and f"<dt>guessing</dt><dd>{guessing}</dd>" in page and page.count(guessing) == 2
    for answer in (line, page):
        assert ("nothing has been learned beyond that" in answer) is not learned


def test_studies_made_before_are_read_and_say_nothing_that_is_not_known(tmp_path):
    made = manifest_to_dict(manifest_of(Synthetic()))
    for key in ("class_names", "splits", "majority_share", "warnings"):
        del made["made"]["data"][key]
    for key in ("seed_split", "max_pixels"):
        del made[key]
    manifest = manifest_from_dict(made, "study.toml")
    assert (manifest.data.class_names, manifest.data.majority_share, manifest.config.seed_split) == ((), 0.0, 0)
    result = replace(compute_result(manifest_of(Synthetic()), records_of(Synthetic())), manifest=manifest)
    console = Console(width=200, color_system=None)
    with console.capture() as capture:
        console.print(render_result(result))
    assert "guessing" not in capture.get()
    assert "<dt>guessing" not in html_report(result, {}) and "<dt>note</dt>" in html_report(result, {})


def test_facts_survive_the_file():
    facts = DataFacts("folder:x", 3, 3, 32, 10, 5, "ab" * 32, ("n",), ("a", "b"), "train is x/", 0.6, ("w1", "w2"))
    manifest = replace(manifest_of(Synthetic()), data=facts)
    assert manifest_from_dict(json.loads(json.dumps(manifest_to_dict(manifest))), "x").data == facts


@pytest.mark.skipif(os.name == "nt", reason="bytes file names")
@pytest.mark.parametrize("name", [b"two\nlines", b"\xff\xfe", b"\x1b[31mred", "été [bold]".encode()])
def test_class_names_of_any_kind_are_shown_and_kept(tmp_path, name):
    root = folder_of(tmp_path / "set", ("",), ("plain", os.fsdecode(name)), 20)
    paths = StudyPaths(tmp_path / "s")
    with create_study(paths, make_manifest(prepare(definition(f"folder:{root}")), "s", "command")):
        pass
    names = load_manifest(paths).data.class_names
    assert len(names) == 2 and all(shown.isprintable() for shown in names)
    tomllib.loads((paths.folder / "study.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("kind", ["folder", "npz", "function"])
def test_a_test_split_that_is_wrong_stops_run_before_anything_is_trained(tmp_path, monkeypatch, kind):
    y = np.arange(40) % 2
    x = np.random.default_rng(0).integers(0, 256, (40, 28, 28), np.uint8)
    if kind == "folder":
        root = folder_of(tmp_path / "set", ("train", "val", "test"))
        (root / "test" / "notumor" / "3.png").write_bytes(b"x")
        data, message = f"folder:{root}", r"test/notumor/3\.png' cannot be decoded.*--skip-bad"
    elif kind == "npz":
        np.savez(tmp_path / "x.npz", x=x, y=y, x_val=x[::-1], y_val=y, x_test=x[:, :9], y_test=y)
        data, message = (
            f"npz:{tmp_path / 'x.npz'}",
            r"x_test has images of \[C, H, W\] = \[1, 9, 9\], x has \[1, 28, 28\]",
        )
    else:
        monkeypatch.chdir(tmp_path)
        text = "import numpy as np\ndef load():\n    x = np.ones((40, 28, 28)); y = np.arange(40) % 2\n"
        (tmp_path / "mydata_told.py").write_text(text + "    return dict(x=x, y=y, x_test=x, y_test=y + 5)\n")
        data, message = "mydata_told:load", "y_test has the class 6, y ends at 1"
    world = World()
    with pytest.raises(DataError, match=message):
        run(definition(data), StudyPaths(tmp_path / "s"), make_executor=world.executor)
    assert not world.setups and not (tmp_path / "s").exists()


def test_test_images_are_not_given_to_workers(tmp_path):
    world = World()
    root = folder_of(tmp_path / "set", ("train", "val", "test"))
    run(definition(f"folder:{root}"), StudyPaths(tmp_path / "s"), make_executor=world.executor)
    assert {setup.dataset.test for setup in world.setups} == {None}


def test_a_study_goes_on_when_its_test_images_are_damaged_later(tmp_path):
    root = folder_of(tmp_path / "set", ("train", "val", "test"))
    paths, world = StudyPaths(tmp_path / "s"), World(stop_after=2)
    with pytest.raises(KeyboardInterrupt):
        run(definition(f"folder:{root}"), paths, make_executor=world.executor)
    (root / "test" / "glioma" / "0.png").write_bytes(b"x")
    assert resume(paths, make_executor=World().executor).complete


def test_verify_names_a_damaged_test_image_and_goes_on_with_skip_bad(call, tmp_path):
    root = folder_of(tmp_path / "set", ("train", "val", "test"))
    paths = new(tmp_path, f"folder:{root}")
    (root / "test" / "glioma" / "0.png").write_bytes(b"x")
    code, _, err = call("verify", "s", "--seeds", "2", "--studies-dir", tmp_path)
    assert code == 1 and "test/glioma/0.png' cannot be decoded" in err and "--skip-bad" in err
    assert verify(paths, VerifyRequest(seeds=2), skip_bad=True, make_executor=World().executor).verified


def test_the_option_of_verify_arrives(call, tmp_path, monkeypatch):
    new(tmp_path, f"folder:{folder_of(tmp_path / 'set')}")
    given = {}

    def recorded(paths, ask, **options):
        given.update(options)
        raise StudyError("enough")

    monkeypatch.setattr("scalesearch.cli.run_study.verify", recorded)
    for options, expected in (((), False), (("--skip-bad",), True)):
        assert call("verify", "s", *options, "--studies-dir", tmp_path)[0] == 1
        assert given["skip_bad"] is expected


def test_what_a_study_was_told_to_skip_verify_skips(tmp_path):
    root = folder_of(tmp_path / "set", ("train", "val", "test"))
    (root / "test" / "glioma" / "0.png").write_bytes(b"x")
    paths = new(tmp_path, f"folder:{root}", skip_bad=True)
    world = World()
    verify(paths, VerifyRequest(seeds=2), make_executor=world.executor)
    assert {len(setup.dataset.val) for setup in world.setups} == {19}


def test_a_class_less_in_the_training_images_is_not_skipped_in_verify(tmp_path):
    root = folder_of(tmp_path / "set", ("train", "val", "test"))
    paths = new(tmp_path, f"folder:{root}")
    (root / "train" / "glioma" / "0.png").write_bytes(b"x")
    with pytest.raises(StudyError, match=r"has changed since study 's' began \(20\+20 images then, 19\+20 now"):
        verify(paths, VerifyRequest(seeds=2), skip_bad=True, make_executor=World().executor)


def other_pixels(root) -> None:
    """Every image negated, in a file of the same name and size."""
    for file in root.rglob("*.bmp"):
        Image.fromarray(255 - np.asarray(Image.open(file))).save(file)


def interrupted(tmp_path, root) -> StudyPaths:
    paths = StudyPaths(tmp_path / "s")
    with pytest.raises(KeyboardInterrupt):
        run(definition(f"folder:{root}"), paths, make_executor=World(stop_after=2).executor)
    return paths


def as_bitmaps(root):
    for file in sorted(root.rglob("*.png")):
        Image.open(file).save(file.with_suffix(".bmp"))
        file.unlink()
    return root


def test_a_study_does_not_go_on_with_other_pixels_in_files_of_the_same_size(tmp_path):
    root = as_bitmaps(folder_of(tmp_path / "set", ("train", "val")))
    paths = interrupted(tmp_path, root)
    other_pixels(root)
    with pytest.raises(StudyError, match=r"the data .* has changed since study 's' began"):
        resume(paths, make_executor=World().executor)
    other_pixels(root)
    assert resume(paths, make_executor=World().executor).complete


def test_a_study_from_before_contents_were_seen_goes_on(tmp_path):
    root = as_bitmaps(folder_of(tmp_path / "set", ("train", "val")))
    paths = interrupted(tmp_path, root)
    made_before(paths)
    text, facts = paths.definition.read_text(), load_manifest(paths).data
    old = text.replace(facts.fingerprint, facts.earlier_fingerprint, 1)
    paths.definition.write_text("".join(line for line in old.splitlines(True) if "earlier_fingerprint" not in line))
    then = load_manifest(paths).data
    assert (then.fingerprint, then.earlier_fingerprint) == (facts.earlier_fingerprint, "")
    assert resume(paths, make_executor=World().executor).complete


def test_the_seed_of_splits_is_kept_and_holds(tmp_path):
    data = f"folder:{folder_of(tmp_path / 'set', ('Training',), n=30)}"
    paths, world = StudyPaths(tmp_path / "s"), World(stop_after=2)
    with pytest.raises(KeyboardInterrupt):
        run(definition(data, seed_split=5), paths, make_executor=world.executor)
    manifest = load_manifest(paths)
    assert manifest.config.seed_split == 5 and "(stratified, seed 5)" in manifest.data.notes[0]
    assert data_facts(prepare(definition(data)).dataset).fingerprint != manifest.data.fingerprint
    assert resume(paths, make_executor=World().executor).complete
    assert verify(paths, VerifyRequest(seeds=2), make_executor=World().executor).verified


def test_the_options_reach_the_study(call, tmp_path, monkeypatch, empty_folder):
    data = ("--data", f"folder:{folder_of(tmp_path / 'set', ('',), n=30)}", "--trials", "3", "--name", "y")
    code, _, err = call("run", *data, "--max-pixels", "700")
    assert code == 1 and "784 pixels, over the limit of 700, which --max-pixels raises" in err
    given = []

    def recorded(config, paths, **_):
        given.append(config)
        raise StudyError("enough")

    monkeypatch.setattr("scalesearch.cli.run_study.run", recorded)
    call("run", *data, "--seed-split", "9", "--max-pixels", "1000")
    assert (given[0].seed_split, given[0].max_pixels) == (9, 1000)


@pytest.mark.parametrize(("key", "value"), [("seed_split", -1), ("seed_split", 2**31), ("max_pixels", -5)])
def test_values_outside_their_range(key, value):
    with pytest.raises(ConfigError, match=key):
        config_from_dict({key: value})
