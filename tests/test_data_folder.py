"""Image folders: layouts, image kinds, hostile names and damage."""

import hashlib
import os
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scalesearch.data import load_dataset
from scalesearch.errors import DataError

CIFAR = Path(__file__).resolve().parents[2] / "shared/data/cifar10-jpeg.tar.gz"


def picture(px=(16, 16), mode="RGB", seed=0):
    shape = (px[1], px[0], 3) if mode == "RGB" else (px[1], px[0])
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, np.uint8))


def fill(folder, n=5, suffix=".png", **options):
    """n images in a new class folder."""
    folder.mkdir(parents=True)
    for index in range(n):
        picture(seed=index, **options).save(folder / f"{index}{suffix}")
    return folder


def two_classes(root, n=10, **options):
    fill(root / "cat", n, **options)
    fill(root / "dog", n, **options)
    return root


def load(root, **options):
    return load_dataset(f"folder:{root}", **options)


def test_one_heap_is_split_in_three(tmp_path):
    data = load(two_classes(tmp_path, 20), with_test=True)
    assert (len(data.train), len(data.val), len(data.test)) == (28, 6, 6)
    assert np.bincount(data.train.labels).tolist() == [14, 14]
    assert data.classes == ("cat", "dog")
    assert "70 % train" in data.notes[0]


def test_a_fifth_of_train_is_set_aside(tmp_path):
    two_classes(tmp_path / "train")
    data = load(tmp_path, with_test=True)
    assert (len(data.train), len(data.val), data.test) == (16, 4, None)
    assert data.notes[0] == "no validation split: 20 % of train was set aside (stratified, seed 0)"
    assert data.notes[1] == "there is no test split"


@pytest.mark.parametrize("name", ["val", "valid", "validation", "Val"])
def test_given_splits_are_kept(tmp_path, name):
    two_classes(tmp_path / "train", 6)
    two_classes(tmp_path / name, 3)
    two_classes(tmp_path / "test", 2)
    data = load(tmp_path, with_test=True)
    assert (len(data.train), len(data.val), len(data.test)) == (12, 6, 4)
    assert load(tmp_path).test is None


def test_labels_follow_train_when_val_lacks_a_class(tmp_path):
    two_classes(tmp_path / "train")
    fill(tmp_path / "val" / "dog", 3)
    assert load(tmp_path).val.labels.tolist() == [1, 1, 1]


def test_pixels_of_small_equal_images_are_exact(tmp_path):
    two_classes(tmp_path / "train", 3)
    two_classes(tmp_path / "val", 3)
    data = load(tmp_path)
    assert (data.channels, data.native_px) == (3, 16)
    assert np.array_equal(data.train.at(16)[1].transpose(1, 2, 0), np.asarray(picture(seed=1)))


def test_small_equal_images_are_decoded_once(tmp_path):
    data = load(two_classes(tmp_path / "heap"))
    before = data.train.at(12)
    shutil.rmtree(tmp_path / "heap")
    assert np.array_equal(data.train.at(12), before)


def test_large_and_unequal_images_are_cut_to_their_centre(tmp_path):
    fill(tmp_path / "a", 10, px=(140, 100))
    fill(tmp_path / "b", 10, px=(90, 120))
    data = load(tmp_path)
    assert data.native_px in (90, 100)
    got = data.train.at(50)[0].transpose(1, 2, 0).astype(int)
    wide = picture((140, 100), seed=int(Path(data.train.names[0]).stem))
    ours = wide.resize((70, 50), Image.Resampling.BILINEAR).crop((10, 0, 60, 50))
    assert np.abs(got - np.asarray(ours).astype(int)).max() <= 1
    assert data.val.at(120).shape == (4 - 1, 3, 120, 120)


def test_a_file_that_vanishes_is_named(tmp_path):
    data = load(two_classes(tmp_path, px=(80, 80)))
    shutil.rmtree(tmp_path / "cat")
    with pytest.raises(DataError, match=r"cat/\d\.png' cannot be decoded: No such file"):
        data.train.at(20)


@pytest.mark.parametrize("mode", ["L", "1", "I;16", "LA"])
def test_grey_images_have_one_channel(tmp_path, mode):
    for name in ("train", "val"):
        for label, value in (("dark", 40), ("light", 200)):
            folder = tmp_path / name / label
            folder.mkdir(parents=True)
            wide = Image.fromarray(np.full((8, 8), value * 256 + 7, np.uint16))
            flat = Image.new("L", (8, 8), value)
            (wide if mode == "I;16" else flat.convert(mode)).save(folder / "x.png")
    data = load(tmp_path)
    expected = [0, 255] if mode == "1" else [40, 200]
    assert data.channels == 1
    assert data.train.at(8)[:, 0, 3, 3].tolist() == pytest.approx(expected, abs=255 if mode == "1" else 0)


def test_one_colour_image_makes_all_of_them_rgb(tmp_path):
    fill(tmp_path / "a", mode="L")
    fill(tmp_path / "b")
    data = load(tmp_path)
    assert data.channels == 3
    grey = data.train.at(16)[0]
    assert np.array_equal(grey[0], grey[1]) and np.array_equal(grey[0], grey[2])


def one_odd_image(tmp_path, image, name="odd.png", **save):
    """The RGB pixels that an image saved under `name` is read as, at its own side."""
    fill(tmp_path / "train" / "b", 2)
    for split in ("train", "val"):
        (tmp_path / split / "a").mkdir(parents=True)
        image.save(tmp_path / split / "a" / name, **save)
    data = load(tmp_path)
    return data.train.at(16)[data.train.labels == 0][0].transpose(1, 2, 0)


def test_palette(tmp_path):
    image = picture().quantize(16)
    assert np.array_equal(one_odd_image(tmp_path, image, "odd.gif"), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("mode", ["RGBA", "P"])
def test_transparent_becomes_white(tmp_path, mode):
    image = Image.new("RGBA", (16, 16), (10, 20, 30, 0))
    image.paste((250, 0, 0, 255), (0, 0, 8, 16))
    pixels = one_odd_image(tmp_path, image if mode == "RGBA" else image.quantize(4))
    assert pixels[0, 0].tolist() == [250, 0, 0] and pixels[0, 15].tolist() == [255, 255, 255]


def test_cmyk(tmp_path):
    pixels = one_odd_image(tmp_path, Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "odd.JPEG")
    assert pixels[5, 5].tolist() == pytest.approx([255, 0, 0], abs=3)


def test_exif_orientation(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it rotated by 90 degrees clockwise
    image = Image.new("RGB", (16, 16), "white")
    image.paste((0, 0, 0), (0, 0, 16, 8))
    pixels = one_odd_image(tmp_path, image, exif=exif)
    assert pixels[:, 15].max() == 0 and pixels[:, 0].min() == 255


@pytest.mark.parametrize("suffix", [".bmp", ".webp", ".tiff", ".PPM"])
def test_other_formats(tmp_path, suffix):
    assert len(load(two_classes(tmp_path, 5, suffix=suffix)).train) == 7


def test_images_at_any_depth_other_files_and_litter(tmp_path):
    two_classes(tmp_path)
    fill(tmp_path / "cat" / "2024" / "may", 10)
    (tmp_path / "cat" / "notes.txt").write_text("no image")
    (tmp_path / "cat" / "._0.png").write_text("litter of macOS")
    (tmp_path / ".git").mkdir()
    (tmp_path / "__MACOSX").mkdir()
    picture().save(tmp_path / "loose.png")
    data = load(tmp_path, with_test=True)
    assert len(data.train) + len(data.val) + len(data.test) == 30
    assert data.notes[0] == "images outside any class folder are ignored: 1"


def test_symlink_loops_end(tmp_path):
    two_classes(tmp_path)
    (tmp_path / "cat" / "self").symlink_to(tmp_path / "cat")
    (tmp_path / "cat" / "up").symlink_to("..")
    (tmp_path / "cat" / "root").symlink_to("/")
    (tmp_path / "dog" / "loop.png").symlink_to("loop.png")
    data = load(tmp_path, with_test=True)
    assert len(data.train) + len(data.val) + len(data.test) == 20


def test_links_to_images_and_folders_elsewhere_are_followed(tmp_path):
    two_classes(tmp_path / "store")
    (tmp_path / "set" / "x").mkdir(parents=True)
    for index in range(5):
        (tmp_path / "set" / "x" / f"{index}.png").symlink_to(tmp_path / "store" / "cat" / f"{index}.png")
    (tmp_path / "set" / "y").symlink_to(tmp_path / "store" / "dog")
    assert np.bincount(load(tmp_path / "set").train.labels).tolist() == [3, 7]


@pytest.mark.parametrize("name", ["with space", "[brackets]*?", "été-日本語", "new\nline", "%d{x}$HOME", "'q\"uote"])
def test_hostile_names(tmp_path, name):
    root = tmp_path / name
    fill(root / name)
    fill(root / "other")
    assert name in load(root).classes
    (root / name / f"{name}.png").write_bytes(b"damaged")
    with pytest.raises(DataError) as caught:
        load(root, with_test=True)
    assert "\n" not in str(caught.value) and "cannot be decoded" in str(caught.value)


@pytest.mark.skipif(os.name == "nt", reason="bytes file names")
def test_file_names_that_are_no_unicode(tmp_path):
    two_classes(tmp_path)
    strange = Path(os.fsdecode(os.fsencode(tmp_path) + b"/cat/\xff\xfe.png"))
    picture().save(strange)
    assert len(load(tmp_path).fingerprint) == 64


def test_home_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    two_classes(tmp_path / "pictures")
    assert len(load("~/pictures").train) == 14


def test_relative_paths_survive_a_change_of_folder(tmp_path, monkeypatch):
    two_classes(tmp_path / "pictures", px=(70, 70))
    monkeypatch.chdir(tmp_path)
    data = load("pictures")
    monkeypatch.chdir("/")
    assert data.val.at(10).shape == (3, 3, 10, 10)


def test_fingerprint_is_of_content_not_of_place(tmp_path):
    two_classes(tmp_path / "here")
    first = load(tmp_path / "here").fingerprint
    (tmp_path / "here").rename(tmp_path / "there")
    assert load(tmp_path / "there").fingerprint == first
    assert load(tmp_path / "there", with_test=True).fingerprint == first
    picture((20, 20)).save(tmp_path / "there" / "cat" / "0.png")
    picture((20, 20)).save(tmp_path / "there" / "cat" / "1.png")
    assert load(tmp_path / "there").fingerprint != first


@pytest.mark.parametrize("px", [16, 80])
def test_other_pixels_in_files_of_the_same_names_and_sizes_are_other_data(tmp_path, px):
    two_classes(tmp_path / "a", suffix=".bmp", px=(px, px))
    first, files = load(tmp_path / "a"), sorted((tmp_path / "a").rglob("*.bmp"))
    sizes = [file.stat().st_size for file in files]
    for file in files:
        os.utime(file, (1, 1))
    touched = load(tmp_path / "a")
    assert (touched.fingerprint, touched.train.labels.tolist()) == (first.fingerprint, first.train.labels.tolist())
    image = Image.open(files[3])
    image.putpixel((0, 0), (1, 2, 3))
    image.save(files[3])
    other = load(tmp_path / "a")
    assert [file.stat().st_size for file in files] == sizes
    assert other.fingerprint != first.fingerprint
    assert other.earlier_fingerprint == first.earlier_fingerprint


def test_swapped_files_are_other_data(tmp_path):
    two_classes(tmp_path, suffix=".bmp")
    first = load(tmp_path).fingerprint
    cat, dog = tmp_path / "cat" / "0.bmp", tmp_path / "dog" / "1.bmp"
    one, two = cat.read_bytes(), dog.read_bytes()
    cat.write_bytes(two)
    dog.write_bytes(one)
    assert load(tmp_path).fingerprint != first


def test_what_earlier_versions_called_the_same_folder_is_known(tmp_path):
    two_classes(tmp_path / "train", 3)
    two_classes(tmp_path / "val", 2)
    digest = hashlib.sha256()
    for number, (split, count) in enumerate((("train", 3), ("val", 2))):
        for label, name in enumerate(("cat", "dog")):
            for index in range(count):
                file = f"{split}/{name}/{index}.png"
                size = (tmp_path / file).stat().st_size
                digest.update(f"{number}\0{file}\0{size}\0{label}\n".encode())
    data = load(tmp_path)
    assert data.earlier_fingerprint == digest.hexdigest() != data.fingerprint


def test_corrupt_images_stop_or_are_counted(tmp_path):
    two_classes(tmp_path / "train")
    two_classes(tmp_path / "val")
    whole = (tmp_path / "train" / "cat" / "3.png").read_bytes()
    (tmp_path / "train" / "cat" / "3.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "val" / "dog" / "7.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"train/cat/3\.png' cannot be decoded.*--skip-bad"):
        load(tmp_path)
    data = load(tmp_path, skip_bad=True)
    assert (len(data.train), len(data.val)) == (19, 19)
    assert data.notes == ("2 corrupt images skipped (the first is 'train/cat/3.png')",)


def test_a_class_with_only_corrupt_images(tmp_path):
    two_classes(tmp_path / "train")
    two_classes(tmp_path / "val")
    for path in (tmp_path / "train" / "dog").iterdir():
        path.write_bytes(b"x")
    with pytest.raises(DataError, match="class 'dog' has no readable image left"):
        load(tmp_path, skip_bad=True)


def test_a_validation_split_with_only_corrupt_images(tmp_path):
    two_classes(tmp_path / "train")
    fill(tmp_path / "val" / "dog", 1)
    (tmp_path / "val" / "dog" / "0.png").write_bytes(b"x")
    with pytest.raises(DataError, match=r"none of the 1 validation images can be decoded.*val/dog/0\.png"):
        load(tmp_path, skip_bad=True)


def test_only_the_images_in_use_are_checked(tmp_path):
    two_classes(tmp_path / "train")
    two_classes(tmp_path / "val")
    two_classes(tmp_path / "test")
    (tmp_path / "test" / "cat" / "0.png").write_bytes(b"x")
    assert len(load(tmp_path).train) == 20
    with pytest.raises(DataError, match=r"test/cat/0\.png"):
        load(tmp_path, with_test=True)


def test_float_pixels_are_refused_by_name(tmp_path):
    two_classes(tmp_path)
    Image.fromarray(np.ones((8, 8), np.float32)).save(tmp_path / "cat" / "f.tiff")
    with pytest.raises(DataError, match=r"f\.tiff.*mode F"):
        load(tmp_path, with_test=True)


def test_limits(tmp_path):
    data = load(two_classes(tmp_path, 20), train_images=10, val_images=4)
    assert np.bincount(data.train.labels).tolist() == [5, 5]
    assert len(data.val) == 4 and len(data.notes) == 3


def make_nothing(root):
    pass


def make_file(root):
    root.write_text("x")


def make_empty(root):
    root.mkdir()


def make_flat(root):
    root.mkdir()
    picture().save(root / "x.png")


def make_one_class(root):
    fill(root / "only")


def make_empty_class(root):
    two_classes(root)
    (root / "eel").mkdir()


def make_text_class(root):
    two_classes(root)
    (root / "eel").mkdir()
    (root / "eel" / "x.txt").write_text("x")


def make_foreign_val(root):
    two_classes(root / "train")
    fill(root / "val" / "bird")


def make_flat_val(root):
    two_classes(root / "train")
    (root / "val").mkdir()
    picture().save(root / "val" / "x.png")


def make_two_vals(root):
    for name in ("train", "val", "valid"):
        two_classes(root / name)


def make_no_train(root):
    for name in ("val", "test"):
        two_classes(root / name)


def make_tiny(root):
    two_classes(root, 1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (make_nothing, "No such file"),
        (make_file, "Not a directory"),
        (make_empty, "no class folders"),
        (make_flat, "no class folders"),
        (make_one_class, r"one class only \('only'\)"),
        (make_empty_class, "eel' has no image"),
        (make_text_class, "eel' has no image"),
        (make_foreign_val, "val/bird' is missing in train; train has: cat, dog"),
        (make_flat_val, "val' has no class folders"),
        (make_two_vals, "has both 'val' and 'valid'"),
        (make_no_train, "has test, val but no 'train'"),
    ],
)
def test_bad_layouts(tmp_path, make, message):
    root = tmp_path / "my pictures"
    make(root)
    with pytest.raises(DataError, match=message) as caught:
        load(root)
    assert "my pictures" in str(caught.value) and "\n" not in str(caught.value)


def test_too_few_images_to_split(tmp_path):
    make_tiny(tmp_path / "tiny")
    with pytest.raises(DataError, match="2 training images and no validation image"):
        load(tmp_path / "tiny")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_unreadable_folder(tmp_path):
    two_classes(tmp_path)
    (tmp_path / "cat").chmod(0)
    with pytest.raises(DataError, match=r"cat.*Permission denied"):
        load(tmp_path)
    (tmp_path / "cat").chmod(0o755)


@pytest.mark.skipif(not CIFAR.is_file(), reason="needs shared/data/cifar10-jpeg.tar.gz")
def test_cifar_as_a_folder_of_jpegs(tmp_path):
    taken = 0
    with tarfile.open(CIFAR) as archive:
        for member in archive:
            number = Path(member.name).stem
            if member.isfile() and number.isdigit() and int(number) < 8:
                archive.extract(member, tmp_path, filter="data")
                taken += 1
            if taken == 160:
                break
    data = load(next(tmp_path.iterdir()), with_test=True)
    assert len(data.classes) == 10 and data.channels == 3 and data.native_px == 32
    assert data.train.at(24).shape[1:] == (3, 24, 24)
    assert 0.35 < data.train.at(32).mean() / 255 < 0.6
