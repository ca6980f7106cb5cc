"""What a machine hands on to the program, put in order before anything heavy loads: streams and warnings.

Only the command line calls this, for a process that it owns; as a library, scalesearch leaves its host as it is.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import sys
import unicodedata
import warnings
from collections.abc import Callable, Iterator
from typing import Any, TextIO, cast

REPLACED = "scalesearch.replaced"
"""Name of the codec error handler that writes something readable for what an encoding does not have."""

PLAIN = {
    "–": "-", "—": "-", "−": "-", "‑": "-", "±": "+/-", "×": "x", "·": "*", "…": "...", "→": "->", "←": "<-",
    "≤": "<=", "≥": ">=", "≈": "~", "≠": "!=", "‘": "'", "’": "'", "“": '"', "”": '"', "•": "*", "°": "deg",
    "µ": "u", "μ": "u", "α": "alpha", "β": "beta", "γ": "gamma", "φ": "phi", "√": "sqrt", "∞": "inf", "\u00a0": " ",
    "ß": "ss", "æ": "ae", "Æ": "AE", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d",
}  # fmt: skip
HORIZONTAL, VERTICAL = "─━┄┅┈┉═╌╍╴╶╸╺╼╾", "│┃┆┇┊┋║╎╏"


def readable(character: str) -> str:
    """ASCII that says nearly the same: a dash for a dash, the letter without its accent, else a question mark.

    Example:
        >>> "".join(map(readable, "1 – 2 ± 0.5 … é ─ 網"))
        '1 - 2 +/- 0.5 ... e - ?'
    """
    if character.isascii():
        return character
    if character in PLAIN:
        return PLAIN[character]
    if "\u2500" <= character <= "\u257f":
        return "-" if character in HORIZONTAL else "|" if character in VERTICAL else "+"
    if "\udc80" <= character <= "\udcff":  # a byte of a file name that is no text
        return f"\\x{ord(character) - 0xDC00:02x}"
    letters = "".join(c for c in unicodedata.normalize("NFKD", character) if c.isascii())
    return letters or "?"


def _replaced(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(readable, error.object[error.start : error.end])), error.end


codecs.register_error(REPLACED, _replaced)


class Results:
    """stdout that says in one line why it cannot be written; a reader that has left is for the caller to see."""

    def __init__(self, stream: TextIO, failed: Callable[[str], Exception]) -> None:
        self._stream, self._failed = stream, failed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write text; raises what `failed` makes of an OSError, and BrokenPipeError as it is."""
        return cast(int, self._guarded(lambda: self._stream.write(text)))

    def flush(self) -> None:
        """Hand on what was written so far."""
        self._guarded(self._stream.flush)

    def _guarded(self, action: Callable[[], Any]) -> Any:
        try:
            return action()
        except BrokenPipeError:
            raise
        except OSError as error:
            to_nowhere(1)  # for the flush at the interpreter's end
            raise self._failed(error.strerror or str(error)) from error


class Diagnostics:
    """stderr that falls silent when it cannot be written: hours of training must not end with their onlooker."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write a message, or drop it where nobody can read it."""
        with self._forgiven():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Hand on what was written so far."""
        with self._forgiven():
            self._stream.flush()

    @contextlib.contextmanager
    def _forgiven(self) -> Iterator[None]:
        try:
            yield
        except OSError:  # full, hung up, nobody there
            to_nowhere(2)
        except ValueError:
            if not self._stream.closed:  # by somebody's code
                raise


def to_nowhere(descriptor: int) -> None:
    """Let everything that is still written to a descriptor vanish."""
    with contextlib.suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, descriptor)
        os.close(nowhere)


def prepare_streams(failed: Callable[[str], Exception]) -> None:
    """Make the standard streams usable whatever they are, and warnings no errors.

    Args:
        failed: makes the error that is raised where stdout cannot be written, from the system's reason.
    """
    _open_closed()
    for name in ("stdout", "stderr"):
        _write_anything(getattr(sys, name))
    sys.stdout = cast(TextIO, Results(sys.stdout, failed))
    sys.stderr = cast(TextIO, Diagnostics(sys.stderr))
    _calm_warnings()
    _warn_once()


def _open_closed() -> None:
    """A file that is opened later must not become descriptor 1, where it would get what is printed."""
    for descriptor, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(descriptor, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def _write_anything(stream: TextIO) -> None:
    """What the encoding does not have is replaced; an encoding that cannot be used at all gives way to UTF-8."""
    if not isinstance(stream, io.TextIOWrapper):
        return
    try:
        "– a".encode(stream.encoding, REPLACED)
        stream.reconfigure(errors=REPLACED)
    except (UnicodeError, LookupError):
        stream.reconfigure(encoding="utf-8", errors=REPLACED)


def _calm_warnings() -> None:
    """PYTHONWARNINGS=error is for somebody's tests: it would make libraries' deprecations fatal, in workers too."""
    if not any(option.startswith("error") for option in sys.warnoptions):
        return
    sys.warnoptions.clear()
    os.environ.pop("PYTHONWARNINGS", None)
    warnings.resetwarnings()
    for category in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
        warnings.simplefilter("ignore", category)


def _warn_once() -> None:
    """One line of a user's code warns once, as Python means it: libraries that set filters make it forget."""
    show = warnings.showwarning
    shown: set[tuple[str, type[Warning], str, int]] = set()

    def once(
        message: Warning | str, category: type[Warning], filename: str, lineno: int,
        file: TextIO | None = None, line: str | None = None,
    ) -> None:  # fmt: skip
        key = (str(message), category, filename, lineno)
        if key not in shown:
            shown.add(key)
            show(message, category, filename, lineno, file, line)

    warnings.showwarning = once
