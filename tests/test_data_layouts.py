"""Which folders are splits and which are classes: recognised from content, or refused; and what is left out."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scalesearch.data import load_dataset
from scalesearch.data.layout import role_of
from scalesearch.errors import DataError


def fill(folder, n=4, start=0, px=12, suffix=".png"):
    """n pictures, each another one, in a class folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(start, start + n):
        seed = [index, *folder.name.encode()]
        pixels = np.random.default_rng(seed).integers(0, 256, (px, px, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}{suffix}", "PNG" if suffix == ".png" else None)
    return folder


def split(folder, classes, n=10, start=0):
    for name in classes:
        fill(folder / name, n, start)


def load(root, **options):
    return load_dataset(f"folder:{root}", **{"with_test": True, **options})


def counts(data):
    return len(data.train), len(data.val), len(data.test) if data.test else 0


@pytest.mark.parametrize(
    ("train", "val", "test", "expected"),
    [
        ("Training", None, "Testing", (16, 4, 6)),
        ("seg_train/seg_train", None, "seg_test/seg_test", (16, 4, 6)),
        ("training_set/training_set", None, "test_set/test_set", (16, 4, 6)),
        ("train", "dev", None, (20, 8, 0)),
        ("train", "eval", "test", (20, 8, 6)),
        ("Train", "Valid", "Test", (20, 8, 6)),
        ("trainset", "validationset", "testset", (20, 8, 6)),
        ("train_images", "val_images", "test_images", (20, 8, 6)),
        ("TrainData", "ValData", "TestData", (20, 8, 6)),
        ("train-256", "holdout-256", None, (20, 8, 0)),
        ("dataset/train", "dataset/val", None, (20, 8, 0)),
        ("my/deep/archive/train", "my/deep/archive/val", "my/deep/archive/test", (20, 8, 6)),
        ("ILSVRC/Data/CLS-LOC/train", "ILSVRC/Data/CLS-LOC/val", None, (20, 8, 0)),
        ("trainval", None, "test", (16, 4, 6)),
    ],
)
def test_splits_of_any_name_are_found(tmp_path, train, val, test, expected):
    split(tmp_path / train, ("cats", "dogs"))
    if val:
        split(tmp_path / val, ("cats", "dogs"), 4, 100)
    if test:
        split(tmp_path / test, ("cats", "dogs"), 3, 200)
    (tmp_path / "sample_submission.csv").write_text("a,b\n")
    data = load(tmp_path)
    assert data.classes == ("cats", "dogs") and counts(data) == expected
    assert [f"{name}/" in data.splits for name in (train, val, test) if name] == [True] * len(
        list(filter(None, (train, val, test)))
    )


def test_images_to_predict_are_not_a_class(tmp_path):
    for name, n in (("seg_train", 10), ("seg_test", 3)):
        split(tmp_path / name / name, ("forest", "sea"), n, 10 * n)
    fill(tmp_path / "seg_pred" / "seg_pred", 6)
    data = load(tmp_path)
    assert data.classes == ("forest", "sea") and counts(data) == (16, 4, 6)
    assert "folder 'seg_pred' is not used (6 images): it is neither train, val nor test" in data.notes


def test_a_flat_test_folder_has_no_labels_and_is_not_used(tmp_path):
    split(tmp_path / "train", ("a", "b"))
    fill(tmp_path / "test", 5)
    data = load(tmp_path)
    assert data.test is None
    assert "folder 'test' is not used (5 images): its images have no class folders" in data.notes


@pytest.mark.parametrize(
    "classes",
    [
        ("bus", "car", "train", "truck"),
        ("good", "test", "valid"),
        ("invalid", "valid"),
        ("dev", "prod", "train"),
        ("freight train", "test tube", "tree"),
    ],
)
@pytest.mark.parametrize("below", ["", "train", "set/train"])
def test_a_class_may_be_called_like_a_split(tmp_path, classes, below):
    split(tmp_path / below, classes, 20)
    data = load(tmp_path)
    assert data.classes == classes
    assert set(data.train.labels.tolist()) == set(range(len(classes)))


def test_a_class_called_train_in_both_splits(tmp_path):
    for name, start in (("train", 0), ("val", 100)):
        split(tmp_path / name, ("bus", "car", "train"), 5, start)
    assert load(tmp_path).classes == ("bus", "car", "train")


def test_classes_with_folders_of_their_own_stay_classes(tmp_path):
    fill(tmp_path / "cat" / "2023", 6)
    fill(tmp_path / "cat" / "2024", 6, 50)
    fill(tmp_path / "dog" / "may", 12)
    data = load(tmp_path)
    assert data.classes == ("cat", "dog") and sum(counts(data)) == 24


def folds(root):
    for number in range(3):
        split(root / f"fold{number}", ("a", "b"), 4, 10 * number)


def unknown_beside_train(root):
    split(root / "train", ("a", "b"))
    split(root / "public", ("a", "b"), 4, 50)


def heap_and_test(root):
    split(root, ("good", "bad"))
    split(root / "test", ("good", "bad"), 4, 50)


def unknown_and_test(root):
    split(root / "images_main", ("a", "b"))
    split(root / "test", ("a", "b"), 4, 50)


def train_with_folders_among_classes(root):
    split(root, ("bus", "car"))
    split(root / "train", ("steam", "electric"))


def only_flat_splits(root):
    split(root, ("train", "test"))


def two_vals(root):
    split(root / "train", ("a", "b"))
    split(root / "dev", ("a", "b"), 4, 50)
    split(root / "eval", ("a", "b"), 4, 90)


def other_case(root):
    split(root / "train", ("Cat", "Dog"))
    split(root / "val", ("cat", "dog"), 4, 50)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (folds, r"the same folders \('a', 'b'\) in each of 'fold0', 'fold1', 'fold2': classes or splits\?"),
        (unknown_beside_train, r"public' has the same folders as the training images.*rename it"),
        (heap_and_test, r"has test but no 'train'; move 'bad', 'good' below 'train'"),
        (unknown_and_test, r"has test but no 'train'; 'images_main' has the same folders: call it 'train'"),
        (train_with_folders_among_classes, r"images in 'bus', 'car' and folders in 'train'.*classes or splits"),
        (only_flat_splits, "test' has no class folders"),
        (two_vals, "has both 'dev' and 'eval'"),
        (other_case, "val/cat' is missing in train; train has: Cat, Dog"),
    ],
)
def test_what_could_be_either_is_refused(tmp_path, make, message):
    make(tmp_path / "pictures")
    with pytest.raises(DataError, match=message) as caught:
        load(tmp_path / "pictures")
    assert "\n" not in str(caught.value) and "pictures" in str(caught.value)


@pytest.mark.parametrize("make", ["missing", "empty", "text"])
@pytest.mark.parametrize("name", ["val", "test"])
def test_an_empty_class_folder_is_as_none(tmp_path, name, make):
    split(tmp_path / "train", ("a", "b", "c"))
    split(tmp_path / "val", ("a", "b", "c") if name == "test" else ("a", "b"), 4, 50)
    split(tmp_path / name, ("a", "b"), 4, 90)
    if make != "missing" and name == "val":
        (tmp_path / "val" / "c").mkdir()
    if make != "missing" and name == "test":
        (tmp_path / "test" / "c").mkdir()
    if make == "text":
        (tmp_path / name / "c" / "x.txt").write_text("x")
    data = load(tmp_path)
    images = data.val if name == "val" else data.test
    assert data.classes == ("a", "b", "c") and np.bincount(images.labels, minlength=3)[2] == 0


def test_a_validation_folder_without_any_image_is_refused(tmp_path):
    split(tmp_path / "train", ("a", "b"))
    (tmp_path / "val" / "a").mkdir(parents=True)
    with pytest.raises(DataError, match="val' has no image in any class folder"):
        load(tmp_path)


@pytest.mark.parametrize("role", ["name", "none"])
def test_roles(role):
    named = {"seg_pred": None, "latest": None, "contest": None, "Retrained": None, "trains": None, "test-1": "test"}
    named |= {"train": "train", "DEV": "val", "my test set": "test", "train_val": "train", "train_test": None}
    wanted = {name: found for name, found in named.items() if (found is None) == (role == "none")}
    assert {name: role_of(name) for name in wanted} == wanted


def test_dangling_links_to_images_are_counted(tmp_path):
    split(tmp_path, ("a", "b"), 20)
    for name in ("a", "b"):
        for index in range(30):
            (tmp_path / name / f"link{index}.png").symlink_to(f"/mnt/gone/{index}.png")
    data = load(tmp_path)
    assert sum(counts(data)) == 40
    assert "left out: 60 dangling links" in data.notes


@pytest.mark.parametrize("below", ["", "train", "val"])
def test_a_class_folder_that_is_a_dangling_link_is_named(tmp_path, below):
    split(tmp_path / "train" if below else tmp_path, ("a", "b"), 20)
    if below == "val":
        split(tmp_path / "val", ("a", "b"), 4, 50)
    (tmp_path / below / "c").symlink_to("/mnt/gone/c")
    with pytest.raises(DataError, match=r"class folder '.*c' is a link to '/mnt/gone/c', which is not there"):
        load(tmp_path)
    data = load(tmp_path, skip_bad=True)
    assert data.classes == ("a", "b")
    assert [note for note in data.notes if "'/mnt/gone/c'" in note]


def test_a_split_that_is_a_dangling_link_is_named(tmp_path):
    split(tmp_path / "train", ("a", "b"))
    (tmp_path / "val").symlink_to("/mnt/gone/val")
    with pytest.raises(DataError, match="val' is a link to '/mnt/gone/val', which is not there"):
        load(tmp_path)


def test_files_without_an_ending_are_read_where_they_decode(tmp_path):
    for name in ("ok", "scratch"):
        fill(tmp_path / name, 10)
        for index in range(15):
            fill(tmp_path / "made", 1, 500 + index)
            Image.open(tmp_path / "made" / f"{500 + index}.png").save(tmp_path / name / f"{index:032x}", "JPEG")
        (tmp_path / name / "README").write_text("no image")
        (tmp_path / name / "labels.txt").write_text("x")
        (tmp_path / name / "Thumbs.db").write_bytes(b"x")
        (tmp_path / name / "photo.jpg.part").write_bytes(b"x")
    for path in (tmp_path / "made").iterdir():
        path.unlink()
    (tmp_path / "made").rmdir()
    data = load(tmp_path)
    assert sum(counts(data)) == 50
    told = "left out: 2 files without an ending that are no images, 2 files ending in .part, 2 files ending in .txt"
    assert told in data.notes


@pytest.mark.parametrize("ending", [".png?width=300", ".jpg!large", ".JPEG@2x"])
def test_the_rest_of_a_web_address_behind_an_ending(tmp_path, ending):
    for name in ("a", "b"):
        fill(tmp_path / name, 6)
        for path in list((tmp_path / name).iterdir()):
            path.rename(path.with_name(path.stem + ending))
    assert sum(counts(load(tmp_path))) == 12


def test_a_file_without_an_ending_that_is_cut_short_is_named(tmp_path):
    split(tmp_path, ("a", "b"), 10)
    whole = (tmp_path / "a" / "0.png").read_bytes()
    (tmp_path / "a" / "0a1b2c").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"a/0a1b2c' cannot be decoded.*truncated"):
        load(tmp_path)


@pytest.mark.parametrize("name", ["@eaDir", "__MACOSX", ".ipynb_checkpoints", "lost+found"])
def test_litter_beside_and_in_classes_is_no_class_and_no_image(tmp_path, name):
    split(tmp_path, ("a", "b"), 10)
    fill(tmp_path / name, 3)
    fill(tmp_path / "a" / name, 3)
    data = load(tmp_path)
    assert data.classes == ("a", "b") and sum(counts(data)) == 20 and len(data.notes) == 1


@pytest.mark.skipif(os.name == "nt", reason="named pipes")
def test_what_is_neither_file_nor_folder_is_counted(tmp_path):
    split(tmp_path, ("a", "b"), 10)
    os.mkfifo(tmp_path / "a" / "pipe.png")
    assert "left out: 1 special file" in load(tmp_path).notes


def test_names_below_a_wrapper_start_at_the_folder_that_was_named(tmp_path):
    split(tmp_path / "zip" / "train", ("a", "b"))
    (tmp_path / "zip" / "train" / "a" / "0.png").write_bytes(b"x")
    with pytest.raises(DataError, match=r"zip/train/a/0\.png"):
        load(Path(tmp_path))
