"""Photographs of telephones: read with the extra `heic` whatever they are called, and named without it."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest
from PIL import Image
from test_data_values import folder_of, load, ramp

from scalesearch.data import decode
from scalesearch.errors import DataError

EXTRA = "pip install 'scalesearch[heic]'"


@pytest.fixture
def with_extra():
    heif = pytest.importorskip("pillow_heif", reason="the extra heic is not installed")
    for cached in (decode.suffixes, decode._register_heif):
        cached.cache_clear()
    return heif


@pytest.fixture
def without_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    known = {end: kind for end, kind in Image.registered_extensions().items() if end not in decode.HEIF}
    monkeypatch.setattr(Image, "registered_extensions", lambda: known)
    for cached in (decode.suffixes, decode._register_heif):
        cached.cache_clear()
    yield
    for cached in (decode.suffixes, decode._register_heif):
        cached.cache_clear()


def quarters() -> Image.Image:
    """Bright at the top left, dark elsewhere."""
    pixels = np.full((80, 80, 3), 20, np.uint8)
    pixels[:40, :40] = 220
    return Image.fromarray(pixels)


def heic_of(heif, image, **options) -> bytes:
    content = io.BytesIO()
    heif.from_pillow(image).save(content, quality=95, **options)
    return content.getvalue()


def read(folder, name):
    data = load(folder)
    return data.train.at(80)[list(data.train.names).index(f"train/a/{name}")]


@pytest.mark.parametrize(
    "name", ["IMG_1.HEIC", "IMG_1.heif", "IMG_1.hif", "IMG_1.jpg", "IMG_1.png", "d41d8cd98f00b204"]
)
def test_it_is_read_whatever_it_is_called(tmp_path, with_extra, name):
    folder_of(tmp_path, lambda seed: ramp(250, px=80, seed=seed), n=2, dtype=np.uint8)
    (tmp_path / "train" / "a" / name).write_bytes(heic_of(with_extra, quarters()))
    got = read(tmp_path, name)
    assert got[:, 10, 10].tolist() == pytest.approx([220] * 3, abs=12)
    assert got[:, 10, 70].tolist() == got[:, 70, 10].tolist() == pytest.approx([20] * 3, abs=12)


@pytest.mark.parametrize(("orientation", "bright"), [(1, (10, 10)), (3, (70, 70)), (6, (10, 70)), (8, (70, 10))])
def test_it_is_turned_upright_once(tmp_path, with_extra, orientation, bright):
    """Telephones write the turn into the file, and into its EXIF as well."""
    exif = Image.Exif()
    exif[0x112] = orientation
    folder_of(tmp_path, lambda seed: ramp(250, px=80, seed=seed), n=2, dtype=np.uint8)
    content = heic_of(with_extra, quarters(), exif=exif.tobytes())
    (tmp_path / "train" / "a" / "IMG_1.HEIC").write_bytes(content)
    got = read(tmp_path, "IMG_1.HEIC")[0]
    assert {place: bool(got[place] > 120) for place in ((10, 10), (10, 70), (70, 10), (70, 70))} == {
        place: place == bright for place in ((10, 10), (10, 70), (70, 10), (70, 70))
    }


def test_transparent_parts_are_white(tmp_path, with_extra):
    pixels = np.full((80, 80, 4), 20, np.uint8)
    pixels[..., 3] = np.where(np.arange(80) < 40, 255, 0)
    folder_of(tmp_path, lambda seed: ramp(250, px=80, seed=seed), n=2, dtype=np.uint8)
    (tmp_path / "train" / "a" / "s.heic").write_bytes(heic_of(with_extra, Image.fromarray(pixels)))
    got = read(tmp_path, "s.heic")
    assert got[0, 40, 10] == pytest.approx(20, abs=12) and got[0, 40, 70] == pytest.approx(255, abs=12)


@pytest.mark.parametrize("part", [0.5, 0.1])
def test_one_that_is_cut_short_is_named_and_can_be_skipped(tmp_path, with_extra, part):
    folder_of(tmp_path, lambda seed: ramp(250, px=80, seed=seed), n=2, dtype=np.uint8)
    content = heic_of(with_extra, Image.fromarray(np.random.default_rng(0).integers(0, 255, (80, 80, 3), np.uint8)))
    (tmp_path / "train" / "a" / "cut.heic").write_bytes(content[: round(part * len(content))])
    with pytest.raises(DataError, match=r"cut\.heic' cannot be decoded: .*--skip-bad") as refused:
        load(tmp_path)
    assert "install" not in str(refused.value)
    assert len(load(tmp_path, skip_bad=True).train) == 4


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"mif1"])
@pytest.mark.parametrize("name", ["photo.jpg", "photo.png"])
def test_under_another_ending_and_without_the_extra_the_extra_is_named(tmp_path, without_extra, brand, name):
    folder_of(tmp_path, lambda seed: ramp(250, seed=seed), n=2, dtype=np.uint8)
    (tmp_path / "train" / "a" / name).write_bytes(b"\0\0\0\x18ftyp" + brand + bytes(200))
    with pytest.raises(DataError, match=r"it is a HEIC photograph; to read it, install the extra") as refused:
        load(tmp_path)
    assert EXTRA in str(refused.value) and name in str(refused.value)


@pytest.mark.parametrize("content", [b"<html>404</html>", b"\0\0\0\x18ftypmp42" + bytes(200), b""])
def test_what_is_no_photograph_is_not_called_one(tmp_path, without_extra, content):
    folder_of(tmp_path, lambda seed: ramp(250, seed=seed), n=2, dtype=np.uint8)
    (tmp_path / "train" / "a" / "photo.jpg").write_bytes(content)
    with pytest.raises(DataError, match=r"photo\.jpg' cannot be decoded: ") as refused:
        load(tmp_path)
    assert "HEIC" not in str(refused.value)
