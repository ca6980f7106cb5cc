"""Values of any range become bytes by one rule that is told; identical, blank and poor images are told too."""

import os
import shutil
import struct
import sys
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from scalesearch.data import decode, load_dataset
from scalesearch.data.tone import Tone, deep_tone
from scalesearch.errors import DataError


def ramp(top, px=20, seed=0, low=0):
    """Whole numbers from low to top in which nearly every level occurs, a different picture for each seed."""
    values = np.linspace(low, top, px * px).round().astype(np.int64)
    return np.random.default_rng(seed).permutation(values).reshape(px, px)


def save_png16(path, pixels):
    """A PNG of 16 bits a value, with 0, 2, 3 or 4 channels, which Pillow cannot write in colour."""
    kind = {0: 0, 2: 4, 3: 2, 4: 6}[pixels.shape[2] if pixels.ndim == 3 else 0]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)

    def chunk(name, content):
        checked = name + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 16, kind, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


def save(path, pixels, dtype=np.uint16):
    path.parent.mkdir(parents=True, exist_ok=True)
    if pixels.ndim == 3:
        save_png16(path, pixels)
    else:
        Image.fromarray(pixels.astype(dtype)).save(path)


def folder_of(root, make, suffix=".png", n=4, splits=("train", "val"), **options):
    """Two classes in each split; `make(seed)` gives the values of a picture."""
    seed = 0
    for split in splits:
        for name in ("a", "b"):
            for index in range(n):
                save(root / split / name / f"{index}{suffix}", make(seed), **options)
                seed += 1
    return root


def load(root, **options):
    return load_dataset(f"folder:{root}", **options)


@pytest.mark.parametrize(("bits", "shift"), [(9, 1), (10, 2), (12, 4), (14, 6), (16, 8)])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_deep_grey_files_are_stretched_by_their_bits(tmp_path, bits, shift, suffix):
    data = load(folder_of(tmp_path, lambda seed: ramp(2**bits - 1, seed=seed), suffix))
    pixels = data.train.at(20)
    assert data.channels == 1
    assert np.array_equal(pixels[0, 0], ramp(2**bits - 1, seed=0) >> shift)
    assert len(np.unique(pixels)) >= 200
    said = "the upper 8 of 16 bits are used" if bits == 16 else f"read as {bits} bits, stretched to 0 to 255"
    assert [note for note in data.notes if said in note and "16 files" in note]


@pytest.mark.parametrize(("bits", "shift"), [(10, 2), (12, 4), (16, 8)])
def test_deep_colours_are_stretched_too(tmp_path, bits, shift):
    def make(seed):
        return np.stack([ramp(2**bits - 1, seed=3 * seed + k) for k in range(3)], -1)

    data = load(folder_of(tmp_path, make))
    assert data.channels == 3
    assert np.array_equal(data.train.at(20)[1].transpose(1, 2, 0), make(1) >> shift)


def save_tiff16(path, pixels, order, extra):
    """An uncompressed TIFF of 16-bit RGB and a fourth channel: 0 not told, 1 premultiplied opacity, 2 opacity."""
    mark, end = (b"II", "<") if order == "L" else (b"MM", ">")
    body = pixels.astype(f"{end}u2").tobytes()
    height, width, channels = pixels.shape
    entries = [
        (256, 3, 1, width), (257, 3, 1, height), (258, 3, channels, 8 + len(body)), (259, 3, 1, 1), (262, 3, 1, 2),
        (273, 4, 1, 8), (277, 3, 1, channels), (278, 3, 1, height), (279, 4, 1, len(body)), (338, 3, 1, extra),
    ]  # fmt: skip
    listed = b"".join(
        struct.pack(f"{end}HHIHxx" if kind == 3 and count == 1 else f"{end}HHII", tag, kind, count, value)
        for tag, kind, count, value in entries
    )
    bits = struct.pack(f"{end}{channels}H", *[16] * channels)
    start = struct.pack(f"{end}HI", 42, 8 + len(body) + len(bits))
    path.write_bytes(mark + start + body + bits + struct.pack(f"{end}H", len(entries)) + listed + bytes(4))


def test_sixteen_bits_with_transparency_keep_sixteen(tmp_path):
    """Opaque values to the bit, clear pixels white, and half of both by hand: 0.5 * 4000 + 0.5 * 65535."""
    colours = np.stack([ramp(60000, seed=k) for k in range(3)], -1)
    opacity = np.full((20, 20, 1), 65535)
    opacity[0, 0], opacity[0, 1] = 0, 32768
    colours[0, 1] = 4000
    half = 4000 * 32768 / 65535 + 65535 - 32768
    save_png16(tmp_path / "rgba.png", np.concatenate([colours, opacity], -1))
    save_png16(tmp_path / "la.png", np.concatenate([colours[..., :1], opacity], -1))
    for order in "LB":
        save_tiff16(tmp_path / f"2{order}.tif", np.concatenate([colours, opacity], -1), order, 2)
        save_tiff16(tmp_path / f"0{order}.tif", np.concatenate([colours, opacity], -1), order, 0)
        by_hand = np.rint(colours * (opacity / 65535)).astype(int)
        save_tiff16(tmp_path / f"1{order}.tif", np.concatenate([by_hand, opacity], -1), order, 1)
    for file in sorted(tmp_path.iterdir()):
        found = decode.decoded(file)
        wanted = colours[..., 0] if file.stem == "la" else colours
        if file.stem[0] == "0":  # a fourth channel that is no opacity
            assert np.array_equal(found, wanted), file
            continue
        assert np.array_equal(found[1:], wanted[1:]), file
        assert (found[0, 0] == 65535).all() and (abs(found[0, 1] - half) <= 1).all(), file


def test_twelve_bits_with_opacity_are_twelve_bits(tmp_path):
    def make(seed):
        return np.concatenate([ramp(4095, seed=seed)[..., None], np.full((20, 20, 1), 65535)], -1)

    data = load(folder_of(tmp_path, make))
    assert data.channels == 1
    assert np.array_equal(data.train.at(20)[0, 0], ramp(4095, seed=0) >> 4)
    assert [note for note in data.notes if "read as 12 bits" in note]


def test_one_scale_for_all_files(tmp_path):
    """A dark picture beside a bright one stays dark: 12 bits are of the dataset, not of the file."""
    data = load(folder_of(tmp_path, lambda seed: ramp(4095 if seed == 5 else 700, seed=seed)))
    assert data.train.at(20)[0].max() == 700 >> 4


def test_large_deep_files_are_as_small_ones(tmp_path):
    data = load(folder_of(tmp_path, lambda seed: ramp(4095, px=80, seed=seed), n=2))
    assert np.array_equal(data.val.at(80)[0, 0], ramp(4095, px=80, seed=4) >> 4)


def test_byte_values_in_sixteen_bit_files_are_bytes(tmp_path):
    data = load(folder_of(tmp_path, lambda seed: ramp(220, seed=seed, low=20), ".tif"))
    assert np.array_equal(data.train.at(20)[0, 0], ramp(220, seed=0, low=20))
    assert [note for note in data.notes if "values from 20 to 220: read as 8 bits, used as they are" in note]


def test_negative_values_start_at_the_lowest(tmp_path):
    """Computed tomography: -1024 (air) to 3071 in signed TIFF."""
    data = load(folder_of(tmp_path, lambda seed: ramp(3071, seed=seed, low=-1024), ".tif", dtype=np.int32))
    assert np.array_equal(data.train.at(20)[0, 0], (ramp(3071, seed=0, low=-1024) + 1024) >> 4)


@pytest.mark.parametrize(
    ("top", "dtype"), [(1, np.uint8), (5, np.uint8), (20, np.uint8), (1, np.uint16), (5, np.uint16)]
)
def test_a_handful_of_values_in_files_is_stretched_before_resizing(tmp_path, top, dtype):
    data = load(folder_of(tmp_path, lambda seed: ramp(top, seed=seed), dtype=dtype))
    native = data.train.at(20)
    assert np.array_equal(native[0, 0], np.rint(ramp(top, seed=0) * 255 / top))
    assert len(np.unique(data.train.at(12))) > 60
    assert [note for note in data.notes if "stretched to 0 to 255" in note]


def test_plain_bytes_stay_as_they_are(tmp_path):
    data = load(folder_of(tmp_path, lambda seed: ramp(200, seed=seed), dtype=np.uint8))
    assert np.array_equal(data.train.at(20)[0, 0], ramp(200, seed=0))
    assert data.notes == () and data.warnings == ()


def test_what_is_stretched_is_another_dataset(tmp_path):
    """Names and sizes are the same; a study must not go on with other pixels."""
    first = load(folder_of(tmp_path / "x", lambda seed: ramp(4095, seed=seed), ".tif")).fingerprint
    assert load(folder_of(tmp_path / "y", lambda seed: ramp(1023, seed=seed), ".tif")).fingerprint != first


def test_tones_by_hand():
    assert deep_tone(0, 255) == Tone(0, 255) and deep_tone(5, 256) == Tone(0, 511) and deep_tone(0, 40) == Tone(0, 255)
    assert Tone(0, 65535).bytes_of(np.array([40 * 256 + 7, 65535])).tolist() == [40, 255]
    assert Tone(0, 255).bytes_of(np.array([-3, 7, 300])).tolist() == [0, 7, 255]
    assert Tone(0, 16).bytes_of(np.array([0, 8, 16])).tolist() == [0, 128, 255]


@pytest.fixture
def npz(tmp_path):
    def made(options=None, /, **arrays):
        np.savez(tmp_path / "x.npz", **arrays)
        return load_dataset(f"npz:{tmp_path / 'x.npz'}", **(options or {}))

    return made


Y = np.arange(40) % 2


def grey(n=40, px=12, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, px, px), np.uint8)


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.004), (-0.02, 1.0), (-0.13, 1.12), (-0.24, 0.9)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_floats_that_overshoot_are_clipped(npz, low, high, dtype):
    x = (grey() / 255).astype(dtype)
    x[0, 0, 0], x[1, 1, 1] = low, high
    data = npz(x=x, y=Y, x_val=grey(seed=1) / 255, y_val=Y)
    assert np.abs(data.train.at(12)[:, 0].astype(int) - np.rint(x.clip(0, 1) * 255.0).astype(int)).max() <= 1
    assert len(np.unique(data.train.at(12))) > 200
    outside = (low < 0) + (high > 1)
    assert [n for n in data.notes if n.startswith(f"x has {outside} values outside 0 to 1 (") and n.endswith("clipped")]


def test_floats_of_bytes_that_overshoot_are_clipped(npz):
    x = grey().astype(np.float32)
    x[0, 0, 0], x[1, 1, 1] = -3.5, 258.2
    data = npz(x=x, y=Y, x_val=x, y_val=Y)
    assert np.array_equal(data.train.at(12)[:, 0], x.clip(0, 255))
    assert "x has 2 values outside 0 to 255 (-3.5 to 258.2): clipped" in data.notes
    assert "x_val has 2 values outside 0 to 255 (-3.5 to 258.2): clipped" in data.notes


@pytest.mark.parametrize(
    ("low", "high"), [(-1.0, 1.0), (-2.1, 2.6), (-0.5, 0.5), (-0.2, 0.3), (-127.5, 127.5), (0, 400)]
)
def test_normalised_floats_are_refused(npz, low, high):
    x = low + (high - low) * (grey() / 255)
    with pytest.raises(DataError, match=r"allowed: 0 to 255 .pixels as they are before any normalisation"):
        npz(x=x, y=Y)


@pytest.mark.parametrize(
    ("top", "dtype"),
    [(1, np.uint8), (1, np.int64), (2, np.uint8), (15, np.uint8), (16, np.float64), (16, np.float32), (31, np.uint16)],
)
def test_few_steps_become_bytes_after_resizing(npz, top, dtype):
    x = (grey().astype(float) / 255 * top).round().astype(dtype)
    data = npz(x=x, y=Y, x_val=x, y_val=Y)
    assert np.array_equal(data.train.at(12)[:, 0], np.rint(x.astype(float) * 255 / top))
    small = torch.nn.functional.interpolate(
        torch.from_numpy(x.astype(np.float32))[:, None], size=(7, 7), mode="bilinear", antialias=True
    )
    wanted = (small * (255 / top)).round()
    assert np.abs(data.train.at(7).astype(int) - wanted.numpy()).max() <= 1
    assert len(np.unique(data.train.at(7))) > 80
    assert f"x has values from 0 to {top}: stretched to 0 to 255 after resizing" in data.notes


def test_floats_between_the_steps_are_kept_until_after_resizing(npz):
    x = (grey() / 255 * 16).astype(np.float32)
    data = npz(x=x, y=Y, x_val=x, y_val=Y)
    assert np.array_equal(data.train.at(12)[:, 0], np.rint(x * (255 / 16)))
    assert len(np.unique(data.train.at(12))) == 256


def test_booleans_as_before(npz):
    x = grey() > 128
    data = npz(x=x, y=Y, x_val=x, y_val=Y)
    assert np.array_equal(data.train.at(12)[:, 0], x * 255)


def test_the_range_of_few_steps_holds_for_every_split(npz):
    few = (grey() > 128).astype(np.uint8)
    with pytest.raises(DataError, match=r"x_test has values from 0 to 255; allowed: 0 to 1 \(the range of x\)"):
        npz({"with_test": True}, x=few, y=Y, x_val=few, y_val=Y, x_test=grey(), y_test=Y)
    brighter = npz(x=few * 3, y=Y, x_val=few * 5, y_val=Y)
    assert (brighter.train.at(12).max(), brighter.val.at(12).max()) == (153, 255)


def test_subsets_and_fingerprints_know_the_range(npz):
    few = (grey() > 128).astype(np.uint8)
    data = npz({"train_images": 10}, x=few, y=Y, x_val=few, y_val=Y)
    assert set(np.unique(data.train.at(12))) == {0, 255}
    whole = {"y": Y, "y_val": Y}
    assert npz(x=few, x_val=few, **whole).fingerprint != npz(x=few, x_val=few + 1, **whole).fingerprint


def test_splits_of_different_range_are_told(npz):
    data = npz(x=grey(), y=Y, x_val=grey() / 255, y_val=Y)
    assert [w for w in data.warnings if "validation images have pixel values from 0 to 1, training images from 0" in w]


def test_folders_of_different_range_are_told(tmp_path):
    folder_of(tmp_path, lambda seed: ramp(250, seed=seed), splits=("train",), dtype=np.uint8)
    folder_of(tmp_path, lambda seed: ramp(60, seed=seed), splits=("val",), dtype=np.uint8)
    data = load(tmp_path)
    assert [w for w in data.warnings if "pixel values from 0 to 60, training images from 0 to 250" in w]


@pytest.mark.parametrize("px", [20, 90])
@pytest.mark.parametrize(("copies", "verb"), [(8, "are"), (3, "are"), (1, "is")])
def test_identical_images_across_splits_are_counted(tmp_path, px, copies, verb):
    folder_of(tmp_path, lambda seed: ramp(250, px=px, seed=seed), dtype=np.uint8)
    train = sorted((tmp_path / "train").rglob("*.png"))
    val = sorted((tmp_path / "val").rglob("*.png"))
    for source, target in list(zip(train, val, strict=True))[:copies]:
        shutil.copy(source, target)
    [warning] = load(tmp_path).warnings
    assert warning.startswith(
        f"{copies} of 8 validation images {verb} also among the training images (the first is 'val/a"
    )


def test_identical_test_images_are_counted_when_they_are_read(tmp_path):
    folder_of(tmp_path, lambda seed: ramp(250, seed=seed), splits=("train", "val", "test"), dtype=np.uint8)
    shutil.copy(tmp_path / "train" / "a" / "0.png", tmp_path / "test" / "b" / "0.png")
    shutil.copy(tmp_path / "val" / "a" / "1.png", tmp_path / "test" / "b" / "1.png")
    assert load(tmp_path).warnings == ()
    for option in ("with_test", "check_test"):
        [warning] = load(tmp_path, **{option: True}).warnings
        assert warning.startswith("2 of 8 test images are also among the training or validation images")


def test_identical_arrays_are_counted(npz):
    val = grey(seed=1)
    val[3:10] = grey()[:7]
    [warning] = npz(x=grey(), y=Y, x_val=val, y_val=Y).warnings
    assert warning.startswith("7 of 40 validation images are also among the training images:")


@pytest.mark.parametrize("px", [20, 90])
def test_constant_images_are_counted(tmp_path, px):
    folder_of(tmp_path, lambda seed: ramp(250, px=px, seed=seed), dtype=np.uint8)
    for name in ("train/a/0", "train/b/2", "val/a/1"):
        save(tmp_path / f"{name}.png", np.full((px, px), 255), dtype=np.uint8)
    expected = "of one colour throughout: 2 of 8 training images, 1 of 8 validation images"
    assert load(tmp_path).warnings == (expected,)


def test_one_mark_on_a_blank_page_is_not_constant(tmp_path):
    folder_of(tmp_path, lambda seed: ramp(250, px=90, seed=seed), dtype=np.uint8)
    page = np.full((90, 90), 255)
    page[51, 52] = 0
    save(tmp_path / "train" / "a" / "0.png", page, dtype=np.uint8)
    assert load(tmp_path).warnings == ()


def test_few_grey_levels_are_told(tmp_path):
    def posterised(seed):
        return ramp(4, seed=seed) * 60

    data = load(folder_of(tmp_path, posterised, dtype=np.uint8))
    assert data.warnings == ("the images have 5 different pixel values in all (0, 60, 120, 180, 240)",)


def bilevel(path, width, height):
    path.parent.mkdir(parents=True, exist_ok=True)
    page = Image.new("1", (width, height), 1)
    page.paste(0, (0, 0, width // 2, height))
    page.save(path)


def test_a_scan_over_pillows_limit_is_read(tmp_path):
    """182 million pixels; Pillow itself stops at 179 million."""
    folder_of(tmp_path, lambda seed: ramp(250, seed=seed), n=2, dtype=np.uint8)
    bilevel(tmp_path / "train" / "a" / "scan.png", 14000, 13000)
    data = load(tmp_path)
    scan = data.train.at(20)[list(data.train.names).index("train/a/scan.png"), 0]
    assert scan[:, :9].max() == 0 and scan[:, 11:].min() == 255
    assert Image.MAX_IMAGE_PIXELS is not None


def test_over_the_limit_the_option_is_named(tmp_path):
    folder_of(tmp_path, lambda seed: ramp(250, seed=seed), n=2, dtype=np.uint8)
    bilevel(tmp_path / "train" / "a" / "scan.png", 200, 300)
    with pytest.raises(
        DataError, match=r"scan\.png'.*60,000 pixels, over the limit of 50,000.*--max-pixels.*--skip-bad"
    ):
        load(tmp_path, max_pixels=50_000)
    assert len(load(tmp_path, max_pixels=60_000).train) == 5
    data = load(tmp_path, max_pixels=50_000, skip_bad=True)
    assert (
        len(data.train) == 4 and data.notes[-1] == "1 image over --max-pixels skipped (the first is 'train/a/scan.png')"
    )


def test_heic_without_the_extra_is_counted_and_the_extra_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    for cached in (decode.suffixes, decode._register_heif):
        cached.cache_clear()
    known = {end: kind for end, kind in Image.registered_extensions().items() if end not in decode.HEIF}
    monkeypatch.setattr(Image, "registered_extensions", lambda: known)
    folder_of(tmp_path, lambda seed: ramp(250, seed=seed), n=2, dtype=np.uint8)
    for index in range(20):
        content = b"\0\0\0\x18ftypheic" + bytes(200)
        (tmp_path / "train" / "a" / f"IMG_{index}.HEIC").write_bytes(content)
    data = load(tmp_path)
    decode.suffixes.cache_clear()
    assert len(data.train) == 4
    assert data.notes == ("left out: 20 HEIC files; to read them, install the extra: pip install 'scalesearch[heic]'",)


def test_heic_with_the_extra_is_read(tmp_path):
    heif = pytest.importorskip("pillow_heif")
    decode.suffixes.cache_clear()
    decode._register_heif.cache_clear()
    folder_of(tmp_path, lambda seed: ramp(250, px=80, seed=seed), n=2, dtype=np.uint8)
    photo = Image.new("RGB", (80, 80), (200, 30, 30))
    photo.paste((20, 20, 200), (0, 0, 40, 80))
    heif.from_pillow(photo).save(tmp_path / "train" / "a" / "IMG_1.HEIC", quality=95)
    data = load(tmp_path)
    got = data.train.at(80)[list(data.train.names).index("train/a/IMG_1.HEIC")]
    assert got[:, 40, 70].tolist() == pytest.approx([200, 30, 30], abs=12)
    assert got[:, 40, 10].tolist() == pytest.approx([20, 20, 200], abs=12)


@pytest.mark.parametrize("kind", ["npz", "folder"])
def test_the_test_split_is_checked_and_changes_nothing(tmp_path, npz, kind):
    if kind == "npz":
        arrays = {"x": grey(), "y": Y, "x_val": grey(seed=1), "y_val": Y, "y_test": Y}
        without = npz(**arrays, x_test=grey(seed=2))
        broken = np.full((40, 12, 12), np.nan)

        def again(**options):
            return load_dataset(f"npz:{tmp_path / 'x.npz'}", **options)

    else:
        folder_of(tmp_path, lambda seed: ramp(250, seed=seed), splits=("train", "val", "test"), dtype=np.uint8)
        without = load(tmp_path)

        def again(**options):
            return load(tmp_path, **options)

    checked = again(check_test=True)
    assert checked.test is None and checked.fingerprint == without.fingerprint
    assert np.array_equal(checked.train.at(12), without.train.at(12))
    if kind == "npz":
        np.savez(tmp_path / "x.npz", **arrays, x_test=broken)
    else:
        (tmp_path / "test" / "a" / "0.png").write_bytes(b"x")
    assert again().fingerprint == without.fingerprint
    with pytest.raises(DataError, match="x_test has" if kind == "npz" else r"test/a/0\.png' cannot be decoded"):
        again(check_test=True)


def test_test_images_brighter_than_the_others_do_not_change_the_scale(tmp_path):
    folder_of(tmp_path, lambda seed: ramp(4095, seed=seed))
    before = load(tmp_path)
    folder_of(tmp_path, lambda seed: ramp(65535, seed=seed), splits=("test",))
    data = load(tmp_path, with_test=True)
    assert data.fingerprint == before.fingerprint
    assert np.array_equal(data.train.at(20), before.train.at(20)) and data.test.at(20).max() == 255


def test_the_seed_of_splits_moves_them_and_is_told(npz):
    arrays = {"x": grey(100), "y": np.arange(100) % 2}
    first, same, other = (npz({"seed_split": seed}, **arrays) for seed in (0, 0, 7))
    assert first.fingerprint == npz(**arrays).fingerprint == same.fingerprint != other.fingerprint
    assert len(other.train) == len(first.train) == 70 and "(stratified, seed 7)" in other.notes[0]
    part, again = (npz({"seed_split": seed, "train_images": 20}, **arrays) for seed in (0, 7))
    assert (
        part.fingerprint != again.fingerprint and "20 of 70 train images are used (stratified, seed 7)" in again.notes
    )


@pytest.mark.parametrize(("counts", "share"), [((95, 1, 1, 1, 2), 0.95), ((10, 10), 0.5), ((1, 2, 7), 0.7)])
def test_the_share_of_the_largest_class_is_of_the_validation_images(npz, counts, share):
    y_val = np.repeat(np.arange(len(counts)), counts)
    data = npz(x=grey(), y=np.arange(40) % len(counts), x_val=grey(len(y_val), seed=1), y_val=y_val)
    assert data.majority_share == pytest.approx(share)


@pytest.mark.parametrize(
    ("options", "fingerprint"),
    [
        ({}, "fd22da0d6031c1f2b904986226a17e23703ac42c512c6495893b692a31d36f78"),
        ({"train_images": 500, "val_images": 300}, "16ba2b34de1bee84ff709eaa0ca63f784fb6a47c7cb54db53e2ba3ffe6adb023"),
    ],
)
def test_the_embedded_data_is_what_it_was(options, fingerprint):
    data = load_dataset("fashion-mnist-mini", check_test=True, **options)
    assert data.fingerprint == fingerprint
    assert data.warnings == () and data.majority_share == pytest.approx(0.1)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_named(tmp_path):
    folder_of(tmp_path, lambda seed: ramp(250, seed=seed), dtype=np.uint8)
    (tmp_path / "train" / "a" / "0.png").chmod(0)
    with pytest.raises(DataError, match=r"train/a/0\.png' cannot be decoded: Permission denied"):
        load(tmp_path)
