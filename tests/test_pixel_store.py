"""The pixel store: what it holds, who shares it, and what happens to it on a bad day."""

import hashlib
import json
import multiprocessing
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL
import pytest
import torch
from conftest import wait_until
from PIL import Image

from scalesearch.data import load_dataset
from scalesearch.data.decode import BILINEAR, LANCZOS
from scalesearch.data.device import normalization, normalization_of, to_device
from scalesearch.data.files import FileImages
from scalesearch.data.resize import centre, crop, random_boxes, resize
from scalesearch.data.store import BLOCK, CROPPED, Shelf, StoredImages, block_order, stored_side
from scalesearch.data.store import make as making
from scalesearch.data.store.facts import WINDOW, row_order
from scalesearch.data.store.make import FACTS, JOURNAL, PIXELS
from scalesearch.errors import DataError, StorageError, UsageError

IMAGES = 150


def photographs(root: Path, each: int = IMAGES // 2, mode: str = "RGB") -> Path:
    """Two classes of smooth pictures of several sizes, all over 64 px."""
    draw = np.random.default_rng(0)
    for label, name in enumerate(("cat", "dog")):
        (root / name).mkdir(parents=True)
        for index in range(each):
            size = (90 + 7 * (index % 5), 80 + 5 * (index % 3))
            small = draw.integers(0, 200 + 50 * label, (6, 7, 3), np.uint8)
            Image.fromarray(small).resize(size).convert(mode).save(root / name / f"{index}.jpg", quality=95)
    return root


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return photographs(tmp_path_factory.mktemp("photos") / "p")


@pytest.fixture(scope="module")
def images(folder) -> FileImages:
    return load_dataset(f"folder:{folder}").train


@pytest.fixture
def shelf(tmp_path) -> Shelf:
    return Shelf(tmp_path / "cache")


def nothing(done: int, total: int) -> None:
    pass


def stored(shelf: Shelf, images: FileImages, side: int = 32, watch=nothing) -> StoredImages:
    return shelf.stored(images, side, "test", watch)


def place(shelf: Shelf) -> Path:
    return next(path for path in shelf.folder.iterdir() if path.is_dir())


# --- what it holds


def test_a_store_holds_what_decoding_gives_in_the_split_s_own_order(shelf, images):
    kept = stored(shelf, images)
    assert np.array_equal(kept.at(32), images.at(32, LANCZOS))
    assert np.array_equal(kept.labels, images.labels) and len(kept) == len(images)


def test_grey_images_have_one_channel(tmp_path, shelf):
    images = load_dataset(f"folder:{photographs(tmp_path / 'g', 8, 'L')}").train
    kept = stored(shelf, images)
    assert kept.channels == 1 and np.array_equal(kept.at(32), images.at(32, LANCZOS))


@pytest.mark.parametrize("px", [24, 40, 63])
def test_smaller_sides_differ_from_direct_decoding_by_a_rounding_and_a_blur(shelf, images, px):
    difference = np.abs(stored(shelf, images, stored_side(63, False)).at(px).astype(int) - images.at(px))
    assert difference.mean() < 0.4 and np.quantile(difference, 0.99) <= 3


@pytest.fixture(scope="module")
def sharp(tmp_path_factory) -> FileImages:
    """Photographs as far as sharpness goes: amplitudes that fall with 1/frequency, to the last pixel of 200."""
    root, draw = tmp_path_factory.mktemp("sharp"), np.random.default_rng(0)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(200), np.fft.fftfreq(200)))
    frequency[0, 0] = 1
    for index in range(12):
        values = np.fft.ifft2(np.fft.fft2(draw.standard_normal((200, 200))) / frequency).real
        values = (values - values.mean()) / values.std() * 50 + 128
        file = root / "ab"[index % 2] / f"{index}.png"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(values.clip(0, 255).astype(np.uint8)).save(file)
    return load_dataset(f"folder:{root}").train


def energy(pixels: np.ndarray) -> float:
    return sum(float((np.diff(pixels.astype(float), axis=axis) ** 2).mean()) for axis in (-1, -2))


@pytest.mark.parametrize("largest", [48, 64])
def test_no_network_s_images_are_softer_than_another_s(shelf, sharp, largest):
    """In the energy of gradients against one resize of the original, at every part of the largest side."""
    kept = stored(shelf, sharp, stored_side(largest, cropped=False))
    parts = {px: energy(kept.at(px)) / energy(sharp.at(px)) for px in range(largest // 2, largest + 1, 4)}
    assert all(0.95 < part < 1.05 for part in parts.values()), parts


@pytest.mark.parametrize("largest", [56, 64])
def test_crops_and_centres_are_as_sharp_for_small_networks_as_for_large_ones(shelf, sharp, largest):
    kept = stored(shelf, sharp, stored_side(largest, cropped=True))
    store = torch.from_numpy(kept.read(np.arange(len(kept)))).permute(0, 3, 1, 2)
    draws = torch.rand(len(kept), 4, generator=torch.Generator().manual_seed(0))
    boxes = random_boxes(draws, kept.side)
    scale, originals = 200 / kept.side, [Image.open(sharp.root / name) for name in sharp.names]

    def direct(cut: torch.Tensor, px: int) -> np.ndarray:
        corners = [(left, top, left + width, top + height) for top, left, height, width in (cut * scale).tolist()]
        way = Image.Resampling.BILINEAR
        return np.stack([one.resize((px, px), way, box=box) for one, box in zip(originals, corners, strict=True)])

    middle = centre(store, CROPPED)
    start = (kept.side - middle.shape[-1]) // 2
    judged = torch.tensor([[start, start, *middle.shape[-2:]]] * len(kept))
    for px in (largest // 2, largest * 3 // 4, largest):
        assert 0.95 < energy(resize(middle, px).numpy()) / energy(direct(judged, px)) < 1.05
        assert 0.93 < energy(crop(store, boxes, px).numpy()) / energy(direct(boxes, px)) < 1.05


def test_any_images_in_any_order_are_read(shelf, images):
    kept, wanted = stored(shelf, images), np.array([7, 3, 3, 99, 0])
    assert np.array_equal(kept.read(wanted).transpose(0, 3, 1, 2), images.at(32, LANCZOS)[wanted])
    part = kept.subset(np.array([5, 50, 20])).subset(np.array([2, 0]))
    assert (
        np.array_equal(part.at(32), images.at(32, LANCZOS)[[20, 5]])
        and part.labels.tolist() == images.labels[[20, 5]].tolist()
    )


def test_values_are_counted_once_for_normalisation(shelf, images):
    kept = stored(shelf, images)
    assert normalization_of(kept, to_device(kept, 32, torch.device("cpu"))) == normalization(images.at(32, LANCZOS))


@pytest.mark.parametrize(
    ("px", "cropped", "side"),
    [
        (1, False, 33),
        (25, False, 33),
        (26, False, 65),
        (96, False, 129),
        (89, True, 129),
        (90, True, 161),
        (224, True, 321),
    ],
)
def test_every_network_s_images_are_made_smaller_from_the_store(px, cropped, side):
    assert stored_side(px, cropped) == side
    assert side * (0.875 if cropped else 1) >= 1.25 * px


@pytest.mark.parametrize(
    ("px", "cropped", "side"), [(32, False, 32), (33, False, 64), (84, True, 96), (224, True, 256)]
)
def test_a_study_from_before_the_margin_has_the_side_it_had(px, cropped, side):
    assert stored_side(px, cropped, BILINEAR) == side


def test_a_store_from_before_the_margin_keeps_its_name_and_is_read(shelf, images):
    told = json.dumps([1, images.content(), f"pillow {PIL.__version__}", 32, 3])
    assert shelf.key(images, 32, BILINEAR) == hashlib.sha256(told.encode()).hexdigest()[:32]
    kept = shelf.stored(images, 32, "test", nothing, resampling=BILINEAR)
    facts = place(shelf) / FACTS
    values = json.loads(facts.read_text())
    assert values.pop("resampling") == "bilinear"
    facts.write_text(json.dumps(values))  # as it was written then
    again = shelf.stored(images, 32, "test", lambda *_: pytest.fail("decoded again"), resampling=BILINEAR)
    assert np.array_equal(kept.at(32), again.at(32)) and np.array_equal(kept.at(32), images.at(32))


def test_the_images_of_a_block_are_of_every_class():
    """Folders come class by class; a block that is read in a row must not be one class."""
    labels = np.repeat(np.arange(10), 640)[row_order(6400)]
    counts = [np.bincount(labels[start : start + BLOCK], minlength=10) for start in range(0, 6400, BLOCK)]
    assert min(len(np.flatnonzero(count)) for count in counts) >= 9


@pytest.mark.parametrize("count", [1, 63, 64, 65, 5000])
def test_blocks_are_read_a_window_at_a_time_and_every_image_once(count):
    rows = np.random.default_rng(1).permutation(count)
    order = block_order(rows, 5)
    assert sorted(order.tolist()) == list(range(count))
    blocks = rows[order] // BLOCK
    for start in range(0, count - WINDOW * BLOCK, WINDOW * BLOCK):
        assert len(np.unique(blocks[start : start + WINDOW * BLOCK])) <= WINDOW + 1  # the last block may be smaller
    if count > 64:
        assert block_order(rows, 6).tolist() != order.tolist() == block_order(rows, 5).tolist()


# --- who shares it


def test_the_second_study_decodes_nothing(shelf, images, monkeypatch):
    first = stored(shelf, images).at(32)
    monkeypatch.setattr(FileImages, "square", lambda *_: pytest.fail("decoded again"))
    assert np.array_equal(stored(shelf, images).at(32), first)


def test_a_copy_of_the_folder_elsewhere_shares_the_store(tmp_path, shelf, images, folder):
    import shutil

    copied = load_dataset(f"folder:{shutil.copytree(folder, tmp_path / 'copy')}").train
    assert shelf.key(copied, 32) == shelf.key(images, 32)


@pytest.mark.parametrize("what", ["content", "order", "side", "channels", "decoder", "resampling"])
def test_other_pixels_are_another_store(shelf, images, tmp_path, what, monkeypatch):
    before = shelf.key(images, 32)
    other, side, resampling = images, 32, LANCZOS
    if what == "content":
        other = replace(images, digests=(b"other", *images.digests[1:]))
    elif what == "order":
        other = images.subset(np.arange(len(images))[::-1])
    elif what == "channels":
        other = replace(images, channels=1)
    elif what == "side":
        side = 64
    elif what == "resampling":
        resampling = BILINEAR
    else:
        monkeypatch.setattr("PIL.__version__", "0.1")
    assert shelf.key(other, side, resampling) != before


def test_other_labels_share_the_pixels(shelf, images):
    kept = stored(shelf, replace(images, labels=1 - images.labels))
    assert shelf.key(images, 32) == kept.file.path.parent.name
    assert kept.labels.tolist() == (1 - images.labels).tolist()


def _read(images: StoredImages, indices: list[int]) -> bytes:
    return images.read(np.array(indices)).tobytes()


def test_other_processes_read_the_same_bytes(shelf, images):
    kept = stored(shelf, images)
    wanted = [5, 1, 80]
    here = _read(kept, wanted)  # the file is open before it is sent: each process must open its own
    assert len(pickle.dumps(kept)) < 20_000
    with multiprocessing.get_context("forkserver").Pool(2) as pool:
        assert pool.starmap(_read, [(kept, wanted)] * 4) == [here] * 4


def test_two_makers_at_once_make_it_once(tmp_path, folder):
    code = (
        "import sys, pathlib; from scalesearch.data import load_dataset; from scalesearch.data.store import Shelf\n"
        f"images = load_dataset('folder:{folder}').train\n"
        "seen = []\n"
        f"Shelf(pathlib.Path({str(tmp_path)!r})).stored(images, 32, 'x', lambda *a: seen.append(a))\n"
        "print(len(seen))"
    )
    both = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    watched = sorted(int(process.communicate(timeout=120)[0]) for process in both)
    assert watched[0] == 0 and watched[1] > 0


# --- on a bad day


def test_a_changed_byte_is_found_and_the_store_made_anew(shelf, images):
    right = stored(shelf, images).at(32)
    file = place(shelf) / PIXELS
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert shelf.damage(place(shelf).name) == "has 1 of 2 blocks that are not what was written"
    assert np.array_equal(stored(shelf, images).at(32), right) and shelf.damage(place(shelf).name) == ""


@pytest.mark.parametrize("damage", ["cut", "gone", "facts", "format", "counts"])
def test_whatever_is_damaged_is_made_anew(shelf, images, damage):
    right = stored(shelf, images).at(32)
    file, facts = place(shelf) / PIXELS, place(shelf) / FACTS
    told = json.loads(facts.read_text())
    if damage == "cut":
        os.truncate(file, file.stat().st_size - 1)
    elif damage == "gone":
        file.unlink()
    elif damage == "facts":
        facts.write_text(facts.read_text()[:100])
    elif damage == "format":
        facts.write_text(json.dumps({**told, "format": 99}))
    else:
        told["histograms"][0][0] += 1
        facts.write_text(json.dumps(told))
    assert shelf.damage(place(shelf).name)
    assert np.array_equal(stored(shelf, images).at(32), right)
    assert [one.facts is not None for one in shelf.kept()] == [True]


def test_a_file_that_is_cut_short_under_a_reader_is_one_line_and_no_signal(shelf, images):
    kept = stored(shelf, images)
    os.truncate(kept.file.path, 100)
    with pytest.raises(StorageError, match="cut short; the same command makes it anew"):
        kept.read(np.arange(len(kept)))


def test_a_file_that_is_gone_is_one_line(shelf, images):
    kept = stored(shelf, images)
    kept.file.path.unlink()
    with pytest.raises(StorageError, match="No such file"):
        kept.read(np.array([0]))


def interrupt(shelf: Shelf, images: FileImages, monkeypatch) -> None:
    """Make a store up to its first block."""
    monkeypatch.setattr(making, "AHEAD", 1)

    def stop(done: int, total: int) -> None:
        if done >= BLOCK:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stored(shelf, images, watch=stop)


def test_an_interrupted_store_goes_on_where_it_stopped(shelf, images, monkeypatch):
    interrupt(shelf, images, monkeypatch)
    begun = place(shelf)
    assert begun.name.endswith(".part") and not (begun / FACTS).exists()
    assert "goes on" in shelf.damage(begun.name)
    decoded = []
    own = FileImages.square
    monkeypatch.setattr(FileImages, "square", lambda self, index, *way: decoded.append(index) or own(self, index, *way))
    kept = stored(shelf, images)
    assert len(decoded) == len(images) - BLOCK
    assert np.array_equal(kept.at(32), images.at(32, LANCZOS))
    assert normalization_of(kept, to_device(kept, 32, torch.device("cpu"))) == normalization(images.at(32, LANCZOS))
    assert [path.name for path in shelf.folder.iterdir() if path.is_dir()] == [kept.file.path.parent.name]


def test_a_half_written_block_of_an_interrupted_store_is_decoded_again(shelf, images, monkeypatch):
    interrupt(shelf, images, monkeypatch)
    file = place(shelf) / PIXELS
    content = bytearray(file.read_bytes())
    content[10] ^= 255
    file.write_bytes(bytes(content) + b"half a block")
    assert np.array_equal(stored(shelf, images).at(32), images.at(32, LANCZOS))


def test_a_killed_maker_leaves_a_beginning_that_the_next_goes_on_with(tmp_path, folder, images):
    code = (
        "import time, pathlib\n"
        "from scalesearch.data import load_dataset\n"
        "from scalesearch.data.store import Shelf, make\n"
        "make.AHEAD = 1\n"
        f"images = load_dataset('folder:{folder}').train\n"
        f"shelf = Shelf(pathlib.Path({str(tmp_path)!r}))\n"
        "shelf.stored(images, 32, 'x', lambda done, total: done >= 64 and time.sleep(99))"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    journals = lambda: [path for path in tmp_path.rglob(JOURNAL) if path.read_text().count("\n") >= 1]  # noqa: E731
    assert wait_until(lambda: bool(journals()))
    process.kill()
    process.wait()
    seen: list[int] = []
    kept = stored(Shelf(tmp_path), images, watch=lambda done, total: seen.append(done))
    assert seen[0] == BLOCK and np.array_equal(kept.at(32), images.at(32, LANCZOS))


def test_a_full_disk_is_one_line_and_loses_nothing(shelf, images, monkeypatch):
    monkeypatch.setattr(making, "AHEAD", 1)
    calls = []

    def full(block, histograms):
        calls.append(block)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(making, "_count", full)
    with pytest.raises(StorageError) as caught:
        stored(shelf, images)
    line = str(caught.value)
    assert "No space left on device" in line and "SCALESEARCH_CACHE" in line and "goes on" in line and "\n" not in line
    monkeypatch.undo()
    assert np.array_equal(stored(shelf, images).at(32), images.at(32, LANCZOS))


def test_a_real_full_disk_keeps_its_blocks(small_disk, images, monkeypatch):
    monkeypatch.setattr(making, "AHEAD", 1)
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 10**9})())  # as another fills it
    side = 96
    with pytest.raises(StorageError, match="No space left on device"):
        stored(Shelf(small_disk), images, side)
    journal = next(small_disk.rglob(JOURNAL))
    assert len(journal.read_text().split()) == 1
    assert Shelf(small_disk).kept()[0].begun


def test_too_little_room_is_said_before_anything_is_decoded(shelf, images, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000})())
    monkeypatch.setattr(FileImages, "square", lambda *_: pytest.fail("decoded"))
    with pytest.raises(StorageError, match=r"0\.0 GB are free"):
        stored(shelf, images)


def test_a_cache_that_cannot_be_a_folder_is_one_line(tmp_path, images):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"cannot be written: .*SCALESEARCH_CACHE"):
        stored(Shelf(tmp_path / "file"), images)


def test_an_image_that_is_cut_short_in_the_middle_of_making_is_named_and_the_rest_kept(tmp_path, shelf):
    root = photographs(tmp_path / "p")
    images = load_dataset(f"folder:{root}").train
    bad = root / images.names[int(row_order(len(images))[-1])]
    whole = bad.read_bytes()
    bad.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=f"{bad.name}.*cannot be decoded"):
        stored(shelf, images)
    bad.write_bytes(whole)
    seen: list[int] = []
    stored(shelf, images, watch=lambda done, total: seen.append(done))
    assert seen[0] >= 0 and seen[-1] == len(images)


def test_a_side_of_nothing_is_refused(shelf, images):
    with pytest.raises(UsageError, match="at least 1 px"):
        stored(shelf, images).at(0)


# --- what is remembered of the check


def test_a_folder_that_has_not_changed_is_not_decoded_again(folder, monkeypatch):
    first = load_dataset(f"folder:{folder}")
    monkeypatch.setattr("scalesearch.data.files.decoded", lambda *_: pytest.fail("decoded again"))
    again = load_dataset(f"folder:{folder}")
    assert replace(again, train=None, val=None) == replace(first, train=None, val=None)
    assert again.train.content() == first.train.content()


def test_a_file_that_changed_is_looked_at_again(tmp_path):
    root = photographs(tmp_path / "p", 10)
    before = load_dataset(f"folder:{root}").train
    file, stat = root / before.names[0], (root / before.names[0]).stat()
    Image.open(file).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(file, quality=95)
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # as tools do that keep the time
    assert load_dataset(f"folder:{root}").train.content() != before.content()


def test_a_corrupt_image_is_not_remembered_as_such(tmp_path):
    root = photographs(tmp_path / "p", 10)
    file = root / load_dataset(f"folder:{root}").train.names[0]
    whole = file.read_bytes()
    file.write_bytes(b"no image")
    with pytest.raises(DataError, match="cannot be decoded"):
        load_dataset(f"folder:{root}")
    file.write_bytes(whole)
    assert len(load_dataset(f"folder:{root}").train) == 14


@pytest.mark.parametrize("damage", [b"no database", b""])
def test_a_damaged_memory_is_no_memory(folder, tmp_path, monkeypatch, damage):
    monkeypatch.setenv("SCALESEARCH_CACHE", str(tmp_path))
    (tmp_path / "checks.sqlite").write_bytes(damage)
    assert len(load_dataset(f"folder:{folder}").train) == 105


def test_a_lower_limit_of_pixels_holds_for_what_is_remembered(folder):
    load_dataset(f"folder:{folder}")
    with pytest.raises(DataError, match="--max-pixels"):
        load_dataset(f"folder:{folder}", max_pixels=1000)
