"""Which folders are splits and which are classes, decided by what is in them.

A folder is a split when its name says so *and* it holds class folders; names alone make no split (a class may be
called `train`), and folders that could be either are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from scalesearch.data.images import shown
from scalesearch.data.walk import dangling_folders, folders_in, has_images, images_below, images_in
from scalesearch.errors import DataError

Role = Literal["train", "val", "test"]
LAYOUT = "one folder per class, optionally below train/, val/ and test/"
NAMES: dict[Role, tuple[str, ...]] = {
    "train": ("train", "training", "trainval", "trn"),
    "val": ("val", "valid", "validation", "validate", "dev", "devel", "development", "eval", "evaluation", "holdout"),
    "test": ("test", "testing", "tst"),
}
WORDS: dict[str, Role] = {word: role for role, words in NAMES.items() for word in words}
MOST_WRAPPERS = 8
SHOWN = 10


@dataclass(frozen=True)
class FolderLayout:
    """Where the images of each split are.

    Attributes:
        train: the folder of class folders; of all images when `whole`.
        val: validation, if there is such a folder; `test` alike.
        whole: there are no splits.
        said: how this was decided.
        notes: folders that are not used.
    """

    train: Path
    val: Path | None
    test: Path | None
    whole: bool
    said: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Seen:
    """One folder beside others.

    Attributes:
        path: the folder.
        role: the split that its name stands for.
        inner: names of the folders in it.
        images: whether images lie directly in it.
    """

    path: Path
    role: Role | None
    inner: frozenset[str]
    images: bool

    @property
    def name(self) -> str:
        return self.path.name


def role_of(name: str) -> Role | None:
    """The split that a folder's name stands for, if any.

    Example:
        >>> role_of("seg_train"), role_of("TestSet"), role_of("dev"), role_of("invalid"), role_of("trainers")
        ('train', 'test', 'val', None, None)
    """
    words = re.split(r"[^a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", name).lower())
    bare = [re.sub(r"(?<=.)(set|data|images|imgs|split)$", "", word) for word in words]
    roles = {WORDS[word] for word in bare if word in WORDS}
    if roles == {"train", "val"}:  # what is called train_val is to be trained on
        return "train"
    return roles.pop() if len(roles) == 1 else None


def layout_of(root: Path) -> FolderLayout:
    """The splits and the class folders of a folder.

    Raises:
        DataError: folders that could be splits or classes, two of one role, no folder to train on, or a link to a
            folder that is not there.
    """
    top = _unwrapped(root)
    seen = [_look(folder) for folder in folders_in(top)]
    filled = [one for one in seen if one.images or one.inner]
    plain = [one for one in filled if one.images and not one.role]
    splits = [one for one in filled if one.role and one.inner and not (one.images and plain)]
    if splits:
        _check_links(top)
        return _split_layout(root, top, seen, splits, plain)
    _check_classes(root, top, seen, filled)
    where = "" if top == root else f" of {_below(top, root)}"
    return FolderLayout(top, None, None, True, f"no folders of splits: the {len(seen)} folders{where} are the classes")


def _split_layout(
    root: Path, top: Path, seen: Sequence[_Seen], splits: Sequence[_Seen], plain: Sequence[_Seen]
) -> FolderLayout:
    by_role = _by_role(top, seen, splits)
    if "train" not in {one.role for one in splits}:
        raise _no_train(top, seen, splits)
    train = _inside(by_role["train"].path, root, frozenset())
    classes = frozenset(folder.name for folder in folders_in(train))
    if len(plain) > 1 and len(splits) == 1:
        raise DataError(
            f"folder {str(top)!r} has images in {_listed(one.name for one in plain)} and folders in 'train': are these "
            "classes or splits? Put classes below 'train', or take the others away"
        )
    found: dict[Role, Path] = {"train": train}
    for role in ("val", "test"):
        one = by_role.get(role)
        if one is not None and (one.inner or role == "val"):
            found[role] = _inside(one.path, root, classes)
    used = {one.name for role, one in by_role.items() if role in found}
    unused = [one for one in seen if one.name not in used]
    _check_unused(top, unused, classes)
    said = ", ".join(f"{role} is {_below(path, root)}" for role, path in found.items())
    return FolderLayout(
        train, found.get("val"), found.get("test"), False, f"{said}, by name and class folders", _unused(unused, root)
    )


def _by_role(top: Path, seen: Sequence[_Seen], splits: Sequence[_Seen]) -> dict[Role, _Seen]:
    found: dict[Role, _Seen] = {}
    for one in (*splits, *(one for one in seen if one.role and one not in splits)):
        if one.role is None:
            continue
        if one.role in found and one in splits:
            raise DataError(
                f"folder {str(top)!r} has both {found[one.role].name!r} and {one.name!r}; keep one of them, or name "
                "them train, val and test"
            )
        found.setdefault(one.role, one)
    return found


def _no_train(top: Path, seen: Sequence[_Seen], splits: Sequence[_Seen]) -> DataError:
    names = ", ".join(sorted(one.name for one in splits))
    beside = {one.name for one in seen} - {one.name for one in splits}
    shared = splits[0].inner
    alike = [one.name for one in seen if not one.role and len(one.inner & shared) > 1]
    if alike:
        hint = f"; {alike[0]!r} has the same folders: call it 'train' if it is to be trained on"
    elif shared <= beside:
        hint = f"; move {_listed(sorted(shared))} below 'train'"
    else:
        hint = f"; allowed: {LAYOUT}"
    return DataError(f"folder {str(top)!r} has {names} but no 'train'{hint}")


def _check_unused(top: Path, unused: Sequence[_Seen], classes: frozenset[str]) -> None:
    """A folder with the same class folders as train is a split, whatever it is called."""
    for one in unused:
        if one.role is None and (one.inner == classes or len(one.inner & classes) > 1):
            raise DataError(
                f"folder {str(one.path)!r} has the same folders as the training images "
                f"({_listed(sorted(one.inner & classes))}), but its name says neither val nor test: rename it, or move "
                f"it out of {str(top)!r}"
            )


def _unused(unused: Sequence[_Seen], root: Path) -> tuple[str, ...]:
    counted = [(one, len(images_below(one.path, root).images)) for one in unused]
    return tuple(
        f"folder {one.name!r} is not used ({images} image{'' if images == 1 else 's'}): "
        + ("its images have no class folders" if one.role else "it is neither train, val nor test")
        for one, images in counted
        if images
    )


def _check_classes(root: Path, top: Path, seen: Sequence[_Seen], filled: Sequence[_Seen]) -> None:
    """Folders that are to be classes: enough of them, and no splits in disguise."""
    if filled and all(one.role for one in filled):
        raise DataError(f"folder {str(filled[0].path)!r} has no class folders; allowed: {LAYOUT}")
    if not seen:
        raise DataError(f"folder {str(top)!r} has no class folders; allowed: {LAYOUT}")
    if len(seen) == 1:
        raise DataError(f"folder {str(top)!r} has one class only ({seen[0].name!r}); two or more are needed")
    nested = [one for one in filled if has_images(one.path, root)]
    alike = {one.inner for one in nested}
    if len(nested) > 1 and len(alike) == 1 and len(nested[0].inner) > 1 and not any(one.images for one in nested):
        raise DataError(
            f"folder {str(top)!r} has the same folders ({_listed(sorted(nested[0].inner))}) in each of "
            f"{_listed(one.name for one in nested)}: classes or splits? Name splits train, val and test; move classes "
            "below a folder 'train'"
        )


def _unwrapped(root: Path) -> Path:
    """The folder that holds splits or classes: below folders that hold nothing but one other with images."""
    top = root
    for _ in range(MOST_WRAPPERS):
        folders = [folder for folder in folders_in(top) if has_images(folder, root)]
        if len(folders) != 1 or any(images_in(top)):
            return top
        only = _look(folders[0])
        if only.role or only.images or not only.inner:
            return top
        top = only.path
    return top


def _inside(split: Path, root: Path, classes: frozenset[str]) -> Path:
    """The folder of class folders of a split, which archives often hold twice (train/train/)."""
    for _ in range(MOST_WRAPPERS):
        folders = folders_in(split)
        if len(folders) != 1 or folders[0].name in classes or any(images_in(split)):
            return split
        only = _look(folders[0])
        if only.images or not any(has_images(folders[0] / name, root) for name in only.inner):
            return split
        split = folders[0]
    return split


def _look(folder: Path) -> _Seen:
    inner = frozenset(below.name for below in folders_in(folder))
    return _Seen(folder, role_of(folder.name), inner, any(images_in(folder)))


def _check_links(top: Path) -> None:
    for link in dangling_folders(top):
        if role_of(link.name):
            raise DataError(f"folder {str(link)!r} is a link to {str(link.readlink())!r}, which is not there; mend it")


def _below(path: Path, root: Path) -> str:
    return f"{shown(path.relative_to(root).as_posix())}/"


def _listed(names: Iterable[str]) -> str:
    every = [repr(name) for name in names]
    return ", ".join(every[:SHOWN]) + (f", ... ({len(every)} in all)" if len(every) > SHOWN else "")
