"""Text that can be given to others: without the absolute paths of a machine, which tell its user."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any

_UNIX = re.compile(r"""(?<![\w.~/<\\])(?:~|/(?!/))(?:[^\s/'"`,;:()<>|]+)?(?:/[^\s/'"`,;:()<>|]+)*/?""")
_WINDOWS = re.compile(r"""(?<!\w)(?:[A-Za-z]:\\|\\\\)(?:[^\s\\'"`,;:()<>|]+\\)*([^\s\\'"`,;:()<>|]+)""")
HIDDEN = "..."
"""In the place of an address."""
ADDRESSES = ("--address", "--storage")
"""Options whose value names a host."""


def last_part(path: str) -> str:
    """The name of a file or folder, without where it is.

    Example:
        >>> last_part("/home/me/my photos/"), last_part("C:\\\\data\\\\x.npz"), last_part("/")
        ('my photos', 'x.npz', '/')
    """
    return re.split(r"[/\\]", path.rstrip("/\\"))[-1] or "/"


def without_places(text: str, known: tuple[str, ...] = ()) -> str:
    """Text with the last part of every absolute path in it.

    Args:
        known: absolute paths that may stand in it and have spaces, which nothing tells from the text around.

    Example:
        >>> without_places("folder:/home/me/photos, and '/srv/x.npz'; 3 / 4, 1/2 and https://a.b/c stay")
        "folder:photos, and 'x.npz'; 3 / 4, 1/2 and https://a.b/c stay"
        >>> without_places("/home/my user/photos/a.png", ("/home/my user/photos",))
        'photos/a.png'
    """
    for path in sorted(filter(None, known), key=len, reverse=True):
        text = text.replace(path, last_part(path))
    text = _UNIX.sub(lambda found: found[0] if found[0] in ("/", "~") else last_part(found[0]), text)
    return _WINDOWS.sub(lambda found: found[1], text)


def command_without_places(command: str) -> str:
    """A command line as it can be shown: paths by their last part, addresses not at all.

    Example:
        >>> command_without_places("scalesearch run --data 'folder:/home/my me/photos' --address ray://host:1")
        'scalesearch run --data folder:photos --address ...'
    """
    try:
        words = shlex.split(command)
    except ValueError:  # text of another's, which no shell takes
        return without_places(command)
    found = []
    for before, word in zip(["", *words], words, strict=False):
        option, equals, value = word.partition("=")
        if before in ADDRESSES:
            found.append(HIDDEN)
        elif equals and option in ADDRESSES:
            found.append(f"{option}={HIDDEN}")
        else:
            found.append(f"{option}={_word(value)}" if equals and option.startswith("--") else _word(word))
    return shlex.join(found)


def _word(word: str) -> str:
    """One word, all of which belongs to its path."""
    start = re.match(r"(?:[A-Za-z][\w-]+:)?(?=[/~]|\\\\|[A-Za-z]:\\)", word)
    if start is None or word[start.end() :].startswith("//"):
        return without_places(word)
    return start[0] + last_part(word[start.end() :])


def plain_without_places(value: Any, known: tuple[str, ...] = ()) -> Any:
    """Plain values for JSON, each text of them without places."""
    if isinstance(value, str):
        return without_places(value, known)
    if isinstance(value, Mapping):
        return {key: plain_without_places(one, known) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain_without_places(one, known) for one in value]
    return value
