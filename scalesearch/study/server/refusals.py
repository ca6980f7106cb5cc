"""What a server of studies says no to, in one line that ends with what helps."""

from __future__ import annotations

from scalesearch.environment.masking import masked
from scalesearch.errors import StorageError
from scalesearch.study.server.address import Server


class LostError(StorageError):
    """A server that does not answer, or that broke a connection off; it may answer later."""


class NoTablesError(StorageError):
    """A database in which no study was ever made."""


_AT_THE_DOOR = (
    ("password authentication failed", "it does not take this password of user {user}: give it as PGPASSWORD or "
     "in ~/.pgpass"),
    ("no password supplied", "it wants a password of user {user}: give it as PGPASSWORD or in ~/.pgpass"),
    ("role ", "it has no user {user}: give another as USER@HOST, or have one made (createuser)"),
    ("database ", "it has no such database: have it made (createdb {database})"),
    ("no pg_hba.conf entry", "it does not let user {user} in from this machine (its pg_hba.conf)"),
    ("could not translate host name", "there is no machine of this name"),
    ("Connection refused", "nothing listens there: is it running, and is the port right?"),
)  # fmt: skip
"""Words of PostgreSQL and of libpq before a connection is there, which carries no code yet, and what they mean."""

_CODES = {
    "42501": "user {user} is not allowed to do this ({said}); its owner can allow it: GRANT ALL ON ALL TABLES IN "
    "SCHEMA public TO {user}, and the same for ALL SEQUENCES; GRANT CREATE ON SCHEMA public to make them",
    "25006": "it is read-only ({said})",
    "42703": "its tables are of another version of Optuna ({said}); look with: optuna storage upgrade --storage URL",
    "53100": "its disk is full ({said})",
    "3F000": "it has no such schema ({said})",
}
"""By SQLSTATE, what a statement was refused for."""

_OPTUNA_TRIES_AGAIN = ("40001", "40P01", "55P03")


def at_the_door(error: Exception, server: Server) -> LostError:
    """Why no connection could be made."""
    said = _said(error)
    parts = server.parts
    for words, meaning in _AT_THE_DOOR:
        if words in said and (words not in ("role ", "database ") or "does not exist" in said):
            told = meaning.format(user=parts.username or "of this name", database=parts.database)
            return LostError(f"cannot use the studies in {server}: {told}")
    return LostError(f"cannot reach the studies in {server}: {said}")


def refusal(error: BaseException | None, server: Server) -> StorageError | None:
    """Why a statement failed on a connection that stands; None where that is for Optuna to handle.

    Args:
        error: of the driver.
    """
    code = str(getattr(error, "sqlstate", None) or "")
    if code.startswith("23") or code in _OPTUNA_TRIES_AGAIN:
        return None
    if code == "42P01":
        return NoTablesError(f"there are no studies in {server} yet; begin one there by: scalesearch run --storage URL")
    meaning = _CODES.get(code, "{said}").format(user=server.parts.username or "of this name", said=_said(error))
    return StorageError(f"the studies in {server} cannot be used: {meaning}; what was saved before is kept")


def lost(error: BaseException | None, server: Server) -> LostError:
    """A connection that stood, and broke off."""
    return LostError(f"the connection to the studies in {server} broke off ({_said(error)})")


def _said(error: BaseException | None) -> str:
    """The first line of what an error says, without what led to it."""
    first = next(iter(str(error).strip().splitlines()), type(error).__name__)
    for lead in ("connection failed: ", "failed: ", "FATAL: ", "ERROR: "):
        first = first.rpartition(lead)[2].strip() or first
    return masked(first)
