"""Resizing, subsets, splits and the way to a device."""

import pickle

import numpy as np
import pytest
import torch
from PIL import Image

from scalesearch.data import load_dataset, stratified
from scalesearch.data.device import normalization, to_device
from scalesearch.data.images import ArrayImages
from scalesearch.data.splits import Parts, completed
from scalesearch.errors import DataError, ScaleSearchError


def images_of(pixels, labels=None):
    return ArrayImages(pixels, np.arange(len(pixels)) if labels is None else labels)


def noise(n, channels, px, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, channels, px, px), np.uint8)


def test_native_side_gives_the_pixels_unchanged_and_no_window_into_the_data():
    pixels = noise(3, 3, 20)
    images = images_of(pixels)
    got = images.at(20)
    assert np.array_equal(got, pixels)
    got[:] = 0
    assert images.at(20).any()


@pytest.mark.parametrize("px", [5, 8, 13, 24])
def test_checkerboard_is_antialiased_as_in_pil(px):
    board = (np.indices((32, 32)).sum(0) % 2 * 255).astype(np.uint8)
    ours = images_of(board[None, None]).at(px)[0, 0].astype(int)
    pil = np.asarray(Image.fromarray(board).resize((px, px), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(ours - pil).max() <= 1
    if px <= 13:
        assert ours.std() < 60  # without antialiasing, sampling picks black and white: about 127


@pytest.mark.parametrize("px", [1, 9, 40])
def test_any_side_up_or_down(px):
    pixels = noise(4, 3, 16)
    got = images_of(pixels).at(px)
    assert got.shape == (4, 3, px, px) and got.dtype == np.uint8
    pil = np.asarray(Image.fromarray(pixels[0].transpose(1, 2, 0)).resize((px, px), Image.Resampling.BILINEAR))
    assert np.abs(got[0].transpose(1, 2, 0).astype(int) - pil.astype(int)).max() <= 1


def test_chunks_do_not_show(monkeypatch):
    images = images_of(noise(11, 1, 16))
    whole = images.at(10)
    monkeypatch.setattr("scalesearch.data.images.CHUNK_FLOATS", 3 * 16 * 16)
    assert np.array_equal(images.at(10), whole)


@pytest.mark.parametrize("px", [0, -4])
def test_impossible_side(px):
    with pytest.raises(ScaleSearchError, match=f"resolution {px} px"):
        images_of(noise(1, 1, 8)).at(px)


def test_subset_keeps_order_and_pairs():
    images = images_of(noise(6, 1, 8)).subset(np.array([4, 0, 2]))
    assert images.labels.tolist() == [4, 0, 2] and len(images) == 3
    assert np.array_equal(images.at(8)[0], noise(6, 1, 8)[4])


def test_image_sets_travel_to_other_processes():
    images = images_of(noise(2, 1, 8))
    assert np.array_equal(pickle.loads(pickle.dumps(images)).at(8), images.at(8))


@pytest.mark.parametrize("n", [0, 1, 2, 3, 10, 57, 100])
def test_stratified_keeps_shares_within_one(n):
    labels = np.repeat([0, 1, 2], [60, 30, 10])
    picked = stratified(labels, n, seed=3)
    assert len(picked) == n == len(set(picked.tolist()))
    assert np.array_equal(picked, np.sort(picked))
    shares = np.bincount(labels[picked], minlength=3)
    assert np.abs(shares - n * np.array([0.6, 0.3, 0.1])).max() <= 1


def test_stratified_is_the_same_for_ever_and_moves_with_the_seed():
    labels = np.tile(np.arange(4), 25)
    assert stratified(labels, 6, seed=0).tolist() == [8, 20, 49, 57, 70, 87]
    assert not np.array_equal(stratified(labels, 40, seed=1), stratified(labels, 40, seed=0))


def test_stratified_leaves_no_class_out_when_it_can():
    labels = np.repeat([0, 1, 2], [97, 2, 1])
    assert set(labels[stratified(labels, 3, seed=0)]) == {0, 1, 2}


@pytest.mark.parametrize("n", [-1, 5])
def test_stratified_out_of_range(n):
    with pytest.raises(DataError, match=f"cannot take {n} of 4 images"):
        stratified(np.zeros(4, np.int64), n, seed=0)


def test_a_class_with_one_image_stays_in_training():
    labels = np.repeat([0, 1], [20, 1])
    parts = completed(Parts(images_of(noise(21, 1, 4), labels), None, None, ("many", "one")))
    assert 1 in parts.train.labels and len(parts.train) + len(parts.val) == 21


@pytest.mark.parametrize("which", ["train", "val"])
def test_limits_are_stratified_and_noted(which):
    data = load_dataset("fashion-mnist-mini", **{f"{which}_images": 120})
    split = getattr(data, which)
    assert np.bincount(split.labels).tolist() == [12] * 10
    assert any(note.startswith("120 of ") for note in data.notes)


def test_limit_larger_than_the_data_uses_all_and_says_so():
    data = load_dataset("fashion-mnist-mini", train_images=9999)
    assert len(data.train) == 8000
    assert data.notes == ("9999 train images were asked for, all 8000 are used",)


@pytest.mark.parametrize("n", [9, 0, -3])
def test_limit_below_the_number_of_classes(n):
    with pytest.raises(DataError, match=f"{n} train images are fewer than the 10 classes"):
        load_dataset("fashion-mnist-mini", train_images=n)


def test_fingerprint_depends_on_the_data_and_arguments_alone():
    first = load_dataset("fashion-mnist-mini", train_images=500)
    assert load_dataset("fashion-mnist-mini", train_images=500, with_test=True).fingerprint == first.fingerprint
    assert load_dataset("fashion-mnist-mini", train_images=510).fingerprint != first.fingerprint
    assert len(first.fingerprint) == 64


def test_normalization_is_the_mean_and_deviation_per_channel():
    pixels = noise(5, 3, 12)
    got = normalization(pixels)
    assert got.mean == pytest.approx((pixels / 255).mean((0, 2, 3)))
    assert got.std == pytest.approx((pixels / 255).std((0, 2, 3)))


def test_normalization_of_a_constant_channel_divides_by_one():
    assert normalization(np.full((2, 1, 3, 3), 51, np.uint8)).std == (1.0,)


def test_to_device_gives_tensors_of_the_right_types():
    split = to_device(images_of(noise(4, 3, 8)), 6, torch.device("cpu"))
    assert split.images.shape == (4, 3, 6, 6) and split.images.dtype == torch.uint8
    assert split.labels.tolist() == [0, 1, 2, 3] and split.labels.dtype == torch.int64


def test_tensors_on_the_cpu_are_no_window_into_the_data():
    images = images_of(noise(4, 1, 8))
    split = to_device(images, 8, torch.device("cpu"))
    split.images.zero_()
    split.labels.zero_()
    assert images.at(8).any() and images.labels.any()
