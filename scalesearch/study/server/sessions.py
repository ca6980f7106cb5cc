"""Connections to a server of studies: how they are made, and the lock of a study that the driver's own one holds."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from scalesearch.errors import LockedError, StorageError
from scalesearch.study.server.address import Server, check_driver
from scalesearch.study.server.refusals import at_the_door

if TYPE_CHECKING:
    import psycopg

ON_THE_WAY = {
    "connect_timeout": 10, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}  # fmt: skip
"""How the driver finds out within some 25 seconds that a server has gone without a word (seconds; milliseconds)."""

IN_THE_SERVER = {
    "tcp_keepalives_idle": "15", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "3",
    "idle_session_timeout": "0",
}  # fmt: skip
"""How the server finds that out of a driver, whose lock is then free; and a training may take hours in silence."""

_SET = "SELECT set_config(name, %s, false) FROM pg_settings WHERE name = %s"
_HOLDER = """
SELECT l.pid, a.backend_start FROM pg_locks l LEFT JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND (l.classid::bigint << 32) + l.objid::bigint = %s
AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
_TOKEN = """
SELECT a.value_json FROM study_user_attributes a JOIN studies s USING (study_id) WHERE s.study_name = %s AND a.key = %s
"""


def connect(server: Server, name: str = "scalesearch") -> psycopg.Connection[Any]:
    """A connection that notices when the other side is gone, and tells no server a password in the clear.

    Args:
        name: by which the server's own lists show it.

    Raises:
        LostError: the server does not let anybody in, or is not there; the message says which.
        MissingExtraError: the library is missing.
    """
    check_driver()
    import psycopg
    from sqlalchemy.dialects.postgresql.psycopg import dialect

    spoken: Any = dialect
    arguments, own = spoken(dbapi=psycopg).create_connect_args(server.parts)
    hidden = {} if server.password is None else {"password": server.password}
    wary = {"require_auth": "!password"} if psycopg.pq.version() >= 160000 else {}
    given = {**ON_THE_WAY, **wary, "application_name": name, "prepare_threshold": None, **own, **hidden}
    try:
        connection: psycopg.Connection[Any] = psycopg.connect(*arguments, **given)
        for key, value in IN_THE_SERVER.items():
            connection.execute(_SET, (value, key))
        connection.commit()
    except psycopg.Error as error:
        raise at_the_door(error, server) from None
    return connection


def lock_key(study: str) -> int:
    """The number under which a server keeps the lock of a study, positive and under 2**63."""
    return int.from_bytes(hashlib.sha256(f"scalesearch {study}".encode()).digest()[:8], "big") >> 1


def holders(connection: psycopg.Connection[Any], study: str) -> list[tuple[Any, ...]]:
    """Process and begin of every session that holds the lock of a study."""
    return connection.execute(_HOLDER, (lock_key(study),)).fetchall()


class LockingSession:
    """Makes the one connection by which a driver writes a study. It holds the study's lock, so that nothing can be
    written without it, whatever becomes of connections.

    Args:
        study: its name in the server.
        mark: (Optuna study, attribute, value) that this driver leaves in the study once it has the lock; None before.
    """

    def __init__(self, server: Server, study: str) -> None:
        self.server, self.study = server, study
        self.mark: tuple[str, str, str] | None = None
        self._before: tuple[Any, ...] | None = None

    def connect(self) -> psycopg.Connection[Any]:
        """A new connection, with the lock.

        Raises:
            LostError: as `connect`.
            LockedError: another process has the lock.
            StorageError: another process had it since this one did.
        """
        import psycopg

        connection = connect(self.server, f"scalesearch {self.study}")
        try:
            self._lock(connection)
            self._before = connection.execute(
                "SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()"
            ).fetchone()
            self._check_mark(connection)
            connection.commit()
        except psycopg.Error as error:
            connection.close()
            raise at_the_door(error, self.server) from None
        except BaseException:
            connection.close()
            raise
        return connection

    def _lock(self, connection: psycopg.Connection[Any]) -> None:
        key = lock_key(self.study)
        if _tried(connection, key):
            return
        if self._before in holders(connection, self.study):  # a connection of its own that broke off, and lingers
            connection.execute("SELECT pg_terminate_backend(%s, 5000)", (self._before[0],) if self._before else ())
            if _tried(connection, key):
                return
        raise LockedError(
            f"study {self.study!r} in {self.server} is being run by another process, here or on another machine; wait "
            "for it, or stop it"
        )

    def _check_mark(self, connection: psycopg.Connection[Any]) -> None:
        if self.mark is None:
            return
        optuna_study, key, value = self.mark
        found = connection.execute(_TOKEN, (optuna_study, key)).fetchone()
        if not found or found[0] != value:
            raise StorageError(
                f"study {self.study!r} in {self.server} was taken up by another process while the connection was "
                "broken; this one stops: what is in the server is kept"
            )


def _tried(connection: psycopg.Connection[Any], key: int) -> bool:
    row = connection.execute("SELECT pg_try_advisory_lock(%s)", (key,)).fetchone()
    return bool(row and row[0])
