"""A SPEC as typed -> Dataset."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from scalesearch.data.arrays import array_dataset
from scalesearch.data.folder import folder_dataset, read_folder
from scalesearch.data.images import ArrayImages, Dataset
from scalesearch.data.library import read_library
from scalesearch.data.mini import read_mini
from scalesearch.data.npz import read_npz
from scalesearch.data.splits import Parts, completed, limited
from scalesearch.data.user import read_user
from scalesearch.errors import UnknownNameError, UsageError, choice_error, nearest
from scalesearch.user_code.importing import REFERENCE, meant, module_exists, required

DATASETS = ("fashion-mnist-mini", "fashion-mnist", "cifar10", "cifar100")
FORMS = (*DATASETS, "fashion-mnist:FOLDER", "folder:PATH", "npz:PATH", "package.module:function")
MAX_PIXELS = 400_000_000
"""Image files with more pixels are refused unless a higher limit is given: 20,000 x 20,000 px in RGB take 1.6 GB."""
PREFIXES = ("folder", "npz", *DATASETS)


def load_dataset(
    spec: str,
    *,
    with_test: bool = False,
    check_test: bool = False,
    skip_bad: bool = False,
    max_pixels: int | None = None,
    train_images: int | None = None,
    val_images: int | None = None,
    seed_split: int = 0,
    root: Path | None = None,
) -> Dataset:
    """Load the training and validation images that `spec` names.

    Args:
        spec: one of DATASETS, ``folder:PATH``, ``npz:PATH`` or ``package.module:function``.
        with_test: load the test split too; the search never does.
        check_test: read the test split as `with_test` does, so that what is wrong with it is told, and let it go again.
        skip_bad: leave out image files that cannot be decoded, instead of stopping at the first.
        max_pixels: image files with more pixels are refused; None takes MAX_PIXELS.
        train_images: use a stratified subset of this many; None uses all.
        val_images: the same for validation.
        seed_split: of the splits that are set aside and of the subsets.
        root: where library datasets are looked for first and downloaded to; None: a cache folder.

    Returns:
        the same dataset, with the same fingerprint, for the same data and arguments; those of the test split change
        neither.

    Raises:
        UnknownNameError: there is no such dataset.
        DataError: the data is missing, empty, damaged or of a wrong shape.
        MissingExtraError: an optional library is needed.

    Example:
        >>> data = load_dataset("fashion-mnist-mini", val_images=500)
        >>> len(data.train), len(data.val), data.channels, data.native_px
        (8000, 500, 1, 28)
    """
    kind, _, rest = spec.partition(":")
    test = with_test or check_test
    if kind == "folder":
        files = completed(read_folder(_path(rest, spec), test, skip_bad), test, seed_split)
        files = limited(files, train_images, val_images, seed_split)
        dataset = folder_dataset(spec, files, skip_bad, MAX_PIXELS if max_pixels is None else max_pixels)
    else:
        arrays = completed(_arrays(spec, kind, rest, test, root), test, seed_split)
        dataset = array_dataset(spec, limited(arrays, train_images, val_images, seed_split))
    return dataset if with_test else replace(dataset, test=None)


def absolute_spec(spec: str) -> str:
    """The SPEC with an absolute path, so that it means the same from another folder; others come back as they are.

    Example:
        >>> absolute_spec("npz:/data/x.npz"), absolute_spec("cifar10")
        ('npz:/data/x.npz', 'cifar10')
    """
    kind, colon, rest = spec.partition(":")
    names_path = rest and "\0" not in rest and (kind in ("folder", "npz") or kind in DATASETS)
    return f"{kind}{colon}{Path(rest).expanduser().absolute()}" if names_path else spec


def names_code(spec: str) -> bool:
    """Whether data is a function of a user's, `package.module:function`, which is imported and called.

    Example:
        >>> names_code("my_data:load"), names_code("npz:x"), names_code("cifar10:here"), names_code("cifar10")
        (True, False, False, False)
    """
    kind, colon, _ = spec.partition(":")
    return bool(colon) and kind not in ("folder", "npz", *DATASETS)


def _arrays(spec: str, kind: str, rest: str, with_test: bool, root: Path | None) -> Parts[ArrayImages]:
    if spec == "fashion-mnist-mini":
        return read_mini(with_test)
    if kind in DATASETS[1:]:
        return read_library(kind, _path(rest, spec) if ":" in spec else None, root, with_test)
    if kind == "npz":
        return read_npz(_path(rest, spec), with_test)
    if REFERENCE.fullmatch(spec) and (not nearest(kind, PREFIXES) or module_exists(kind)):
        return read_user(spec, with_test)
    raise _unknown(spec, kind)


def _path(text: str, spec: str) -> Path:
    if not text or "\0" in text:
        raise UsageError(f"data {spec!r} has no path after the colon; allowed: {', '.join(FORMS)}")
    try:
        return Path(text).expanduser()
    except RuntimeError:  # "~name" of a user who does not exist
        return Path(text)


def _unknown(spec: str, kind: str) -> UnknownNameError:
    """The error for a spec of no known form; a path that exists gets the prefix it lacks."""
    if ":" not in spec and (hint := meant(spec, lambda found: required(found) == 0)):
        return UnknownNameError(f"data {spec!r} names no function: {hint} Allowed: {', '.join(FORMS)}")
    prefix = _prefix_of(spec)
    if prefix:
        return UnknownNameError(f"unknown data {spec!r}; did you mean '{prefix}:{spec}'? Allowed: {', '.join(FORMS)}")
    guess = nearest(kind, PREFIXES[:2])
    if guess and ":" in spec:
        fixed = f"{guess}:{spec.partition(':')[2]}"
        return UnknownNameError(f"unknown data {spec!r}; did you mean {fixed!r}? Allowed: {', '.join(FORMS)}")
    return choice_error("data", spec, FORMS)


def _prefix_of(spec: str) -> str | None:
    try:
        return "folder" if Path(spec).is_dir() else "npz" if Path(spec).is_file() else None
    except (OSError, ValueError):  # a name too long for the file system, a null character
        return None
