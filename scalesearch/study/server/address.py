"""The address of a server that holds studies. Its password is kept apart from it, so that nothing can show it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from scalesearch.environment.masking import masked_argument
from scalesearch.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    from sqlalchemy import URL

VARIABLE = "SCALESEARCH_STORAGE"
"""Environment variable with the address that holds where none is given."""

DRIVER = "postgresql+psycopg"
_SPELLED = (DRIVER, "postgresql", "postgres")
_ALLOWED = "allowed: postgresql+psycopg://USER@HOST/DATABASE"

_PASSWORDS: dict[str, str] = {}
"""By address, of this process alone: what is printed, pickled, written or handed to a worker has none."""


@dataclass(frozen=True, slots=True)
class Server:
    """A database of a server that holds studies.

    Attributes:
        url: without a password.
        by_default: whether it comes from the environment, where a study's own place goes first.
    """

    url: str
    by_default: bool = field(default=False, compare=False)

    @property
    def parts(self) -> URL:
        """The address taken apart."""
        from sqlalchemy import make_url

        return make_url(self.url)

    @property
    def password(self) -> str | None:
        """What was given with the address; None leaves it to libpq (PGPASSWORD, ~/.pgpass)."""
        return _PASSWORDS.get(self.url)

    @property
    def place(self) -> tuple[str, int, str]:
        """Host, port and database, by which two addresses are one."""
        parts = self.parts
        host = parts.host or parts.normalized_query.get("host", ("",))[0]
        return host or "", parts.port or 5432, parts.database or ""

    def __str__(self) -> str:
        host, port, database = self.place
        return f"{host or 'this machine'}{'' if port == 5432 else f':{port}'}/{database}"


def parse_server(text: str, source: str = "--storage", *, by_default: bool = False) -> Server:
    """An address as it is typed; its password goes where nothing shows it.

    Args:
        source: where it stands, for messages.

    Raises:
        UsageError: it is none, or of another kind of server.

    Example:
        >>> parse_server("postgresql://me:secret@host/db")
        Server(url='postgresql+psycopg://me@host/db', by_default=False)
    """
    from sqlalchemy import URL, make_url
    from sqlalchemy.exc import ArgumentError

    shown = masked_argument(text.strip())
    if text.count("@") > 1 or len(text.split()) != 1:
        raise UsageError(f"{source} is {shown!r}; {_ALLOWED}, with %40 for an @ in a password, and %20 for a space")
    try:
        parts = make_url(text.strip())
    except (ArgumentError, ValueError):
        raise UsageError(f"{source} is {shown!r}, which is no address; {_ALLOWED}") from None
    if parts.drivername not in _SPELLED:
        raise UsageError(f"{source} is of {parts.drivername!r}; {_ALLOWED}; without {source} SQLite is used")
    if not parts.database:
        raise UsageError(f"{source} is {shown!r}, which names no database; {_ALLOWED}")
    if hidden := [key for key in parts.query if key.lower().endswith("password")]:
        raise UsageError(f"{source} sets {hidden[0]!r} after its ?; a password goes before the @, or in PGPASSWORD")
    there = (parts.host, parts.port, parts.database, parts.query)
    bare = URL.create(DRIVER, parts.username, None, *there).render_as_string(hide_password=False)
    if parts.password:
        _PASSWORDS[bare] = str(parts.password)
    return Server(bare, by_default)


def asked_server(given: str | None) -> Server | None:
    """The server that `--storage` names, else the environment; None is a study's own place.

    Raises:
        UsageError: as `parse_server` says.
    """
    if given is not None:
        return parse_server(given)
    if text := os.environ.get(VARIABLE, "").strip():
        return parse_server(text, VARIABLE, by_default=True)
    return None


def check_driver() -> None:
    """Look whether the library is there that talks to a server.

    Raises:
        MissingExtraError: it is not.
    """
    try:
        import psycopg  # noqa: F401
    except ImportError:
        raise MissingExtraError("psycopg", "postgres", "a study in a PostgreSQL server") from None
