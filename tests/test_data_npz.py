"""npz files: the shapes and value ranges that are read, and each way to get them wrong."""

import io

import numpy as np
import pytest

from scalesearch.data import load_dataset
from scalesearch.errors import DataError

Y = np.arange(20) % 2


def gray(n=20, px=8, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, px, px), np.uint8)


def colour(n=20, px=8):
    return np.random.default_rng(1).integers(0, 256, (n, px, px, 3), np.uint8)


@pytest.fixture
def load(tmp_path):
    def saved_and_loaded(options=None, /, **arrays):
        path = tmp_path / "some [data] é.npz"
        np.savez(path, **arrays)
        return load_dataset(f"npz:{path}", **(options or {}))

    return saved_and_loaded


def refused(load, message, **arrays):
    with pytest.raises(DataError, match=message) as caught:
        load(**arrays)
    assert "some [data] é.npz" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("x", "shape"),
    [
        (gray(), (1, 8)),
        (gray()[..., None], (1, 8)),
        (gray()[:, None], (1, 8)),
        (colour(), (3, 8)),
        (colour().transpose(0, 3, 1, 2), (3, 8)),
    ],
)
def test_channels_are_found(load, x, shape):
    data = load(x=x, y=Y, x_val=x, y_val=Y)
    assert (data.channels, data.native_px) == shape
    assert data.train.at(8).shape == (20, shape[0], 8, 8)


def test_pixels_arrive_unchanged(load):
    x = colour()
    data = load(x=x, y=Y, x_val=x, y_val=Y)
    assert np.array_equal(data.train.at(8), x.transpose(0, 3, 1, 2))


@pytest.mark.parametrize("x", [gray() / 255, gray() / np.float32(255), gray().astype(np.float32), gray().astype(int)])
def test_floats_and_wide_integers_are_the_same_pixels(load, x):
    data = load(x=x, y=Y, x_val=x, y_val=Y)
    assert np.array_equal(data.train.at(8)[:, 0], gray())


def test_non_square_images_keep_the_centre(load):
    x = np.zeros((20, 8, 12), np.uint8)
    x[:, :, 2:10] = gray()
    assert np.array_equal(load(x=x, y=Y, x_val=x, y_val=Y).val.at(8)[:, 0], gray())


def test_one_heap_is_split_in_three(load):
    data = load({"with_test": True}, x=gray(200), y=np.arange(200) % 4)
    assert (len(data.train), len(data.val), len(data.test)) == (140, 30, 30)
    assert np.bincount(data.train.labels).tolist() == [35] * 4
    assert "70 % train" in data.notes[0]
    everything = np.concatenate([s.at(8) for s in (data.train, data.val, data.test)])
    assert len({image.tobytes() for image in everything}) == 200


@pytest.mark.parametrize("each", [2, 3])
def test_a_heap_of_few_images_of_each_class_says_how_it_was_split(load, each):
    data = load({"with_test": True}, x=gray(40 * each), y=np.arange(40 * each) % 40)
    assert data.test is None
    assert (len(data.train), len(data.val)) == (28 * each, 12 * each)
    assert "into 70 % train, 30 % validation, 0 % test (" in data.notes[0]
    assert data.notes[1] == (
        "there is no test split: the classes are of too few images each, and none may be missing from the others"
    )


def test_the_heap_is_cut_the_same_without_the_test_part(load):
    arrays = {"x": gray(200), "y": np.arange(200) % 4}
    without = load(**arrays)
    assert without.test is None
    assert without.fingerprint == load({"with_test": True}, **arrays).fingerprint


def test_a_fifth_is_set_aside_when_only_a_test_split_is_there(load):
    data = load({"with_test": True}, x=gray(100), y=np.arange(100) % 2, x_test=gray(10), y_test=Y[:10])
    assert (len(data.train), len(data.val), len(data.test)) == (80, 20, 10)
    assert data.notes == ("no validation split: 20 % of train was set aside (stratified, seed 0)",)


def test_asking_for_a_test_split_that_is_not_there(load):
    data = load({"with_test": True}, x=gray(), y=Y, x_val=gray(), y_val=Y)
    assert data.test is None and data.notes == ("there is no test split",)


def test_the_test_split_is_not_even_read_by_the_search(load):
    broken = {"x_test": np.full((3, 8, 8), np.nan), "y_test": Y[:3]}
    assert load(x=gray(), y=Y, x_val=gray(), y_val=Y, **broken).test is None
    with pytest.raises(DataError, match="x_test has 192 values that are NaN"):
        load({"with_test": True}, x=gray(), y=Y, x_val=gray(), y_val=Y, **broken)


def test_keras_labels_of_shape_n_1(load):
    assert load(x=gray(), y=Y[:, None], x_val=gray(), y_val=Y).train.labels.tolist() == Y.tolist()


def test_fingerprint_sees_one_pixel_and_one_label(load):
    def fingerprint(x=None, y=Y):
        return load(x=gray() if x is None else x, y=y, x_val=gray(), y_val=Y).fingerprint

    changed = gray()
    changed[3, 4, 5] ^= 1
    flipped = Y.copy()
    flipped[0] = 1
    assert len({fingerprint(), fingerprint(changed), fingerprint(y=flipped)}) == 3
    assert fingerprint() == fingerprint()


@pytest.mark.parametrize(
    ("message", "arrays"),
    [
        ("has no 'x'; it has: images, y", {"images": gray(), "y": Y}),
        ("has no 'y'; it has: x", {"x": gray()}),
        ("has no 'y_val'", {"x": gray(), "y": Y, "x_val": gray()}),
        ("has no 'x_test'", {"x": gray(), "y": Y, "y_test": Y}),
        (r"x has the shape \[20, 64\]; allowed", {"x": gray().reshape(20, 64), "y": Y}),
        (r"x has the shape \[20, 8, 8, 4\]", {"x": np.zeros((20, 8, 8, 4), np.uint8), "y": Y}),
        (r"x has the shape \[0, 8, 8\]: no image", {"x": gray(0), "y": Y[:0]}),
        ("x has 20 images and y 19 labels", {"x": gray(), "y": Y[:19]}),
        ("x has 1 values that are NaN", {"x": np.pad(np.full((1, 1, 1), np.nan), ((0, 19), (0, 7), (0, 7))), "y": Y}),
        ("NaN or infinite", {"x": np.full((20, 8, 8), np.inf), "y": Y}),
        ("values from -1.5 to 2.5; allowed: 0 to 255", {"x": np.tile([-1.5, 2.5], (20, 8, 4)), "y": Y}),
        ("values from 0 to 256", {"x": np.tile([0, 256], (20, 8, 4)), "y": Y}),
        ("x has the type <U1", {"x": np.full((20, 8, 8), "a"), "y": Y}),
        ("x has the type complex128", {"x": np.zeros((20, 8, 8), complex), "y": Y}),
        (r"y has type float64, shape \[20\]", {"x": gray(), "y": Y.astype(float)}),
        (r"shape \[20, 2\]; allowed: whole numbers, \[N\]", {"x": gray(), "y": np.eye(2, dtype=int)[Y]}),
        ("y has labels from -2 to 1", {"x": gray(), "y": Y - 2 * (np.arange(20) == 0)}),
        ("y has labels from 0 to 18446744073709551615", {"x": gray(), "y": Y.astype(np.uint64) * (2**64 - 1)}),
        ("classes 0 to 8, but no image of 0, 2, 3", {"x": gray(), "y": np.array([1, 8] * 10)}),
        (r"one class only \(3\)", {"x": gray(), "y": np.full(20, 3)}),
        ("y_val has the class 2, y ends at 1", {"x": gray(), "y": Y, "x_val": gray(), "y_val": Y + 1}),
        ("x_val has images of .* = .3, 8, 8.", {"x": gray(), "y": Y, "x_val": colour(), "y_val": Y}),
        ("allowed: 0 to 1 .the range of x", {"x": gray() / 255, "y": Y, "x_val": gray() * 1.0, "y_val": Y}),
        ("y cannot be read: .*Object arrays", {"x": gray(), "y": np.array([0, None] * 10, object)}),
        ("and no validation image", {"x": gray(2), "y": Y[:2], "x_test": gray(2), "y_test": Y[:2]}),
    ],
)
def test_bad_content(load, message, arrays):
    if "no validation image" in message:
        with pytest.raises(DataError, match=message):
            load(**arrays)
    else:
        refused(load, message, **arrays)


def test_missing_file():
    with pytest.raises(DataError, match=r"cannot read '/no/such\.npz': No such file"):
        load_dataset("npz:/no/such.npz")


def test_a_folder(tmp_path):
    with pytest.raises(DataError, match="is no file; allowed: an"):
        load_dataset(f"npz:{tmp_path}")


@pytest.mark.parametrize("content", [b"", b"not an npz", b"PK\x03\x04 cut short", b"\x80\x04N."])
def test_not_an_npz(tmp_path, content):
    path = tmp_path / "x.npz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"x\.npz' is not an npz file") as caught:
        load_dataset(f"npz:{path}")
    assert "\n" not in str(caught.value)


def test_a_single_array(tmp_path):
    np.save(tmp_path / "x.npy", gray())
    with pytest.raises(DataError, match="single array"):
        load_dataset(f"npz:{tmp_path / 'x.npy'}")


def test_damage_inside_is_named(tmp_path):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, x=gray(200), y=np.arange(200) % 2)
    raw = bytearray(buffer.getvalue())
    raw[2000] ^= 0xFF
    path = tmp_path / "flipped.npz"
    path.write_bytes(raw)
    with pytest.raises(DataError, match=r"flipped\.npz': x cannot be read"):
        load_dataset(f"npz:{path}")
