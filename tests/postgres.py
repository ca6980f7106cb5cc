"""A PostgreSQL server on loopback, of the tests' own; who starts none is told why."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

PASSWORD = "s3cret-of-the-tests"
OWNER = "postgres"


def programs() -> Path | None:
    """Where Debian has the programs of a server, the newest first."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: -int(path.parts[-3]))
    other = shutil.which("initdb")
    return next((path.parent for path in found), Path(other).parent if other else None)


class Postgres:
    """A server in a folder; its one database is `studies`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.data = folder, folder / "data"
        found = programs()
        if found is None:
            pytest.skip("no PostgreSQL server is installed (Debian: postgresql)")
        self.bin = found
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]

    def make(self) -> None:
        (self.folder / "pw").write_text(PASSWORD)
        self.data.mkdir()
        if os.getuid() == 0:  # it refuses to run as root
            for path in (self.folder, self.data, self.folder / "pw"):
                shutil.chown(path, OWNER, OWNER)
            for above in self.folder.parents:
                if above.stat().st_uid == 0 and not above.stat().st_mode & 0o001:
                    above.chmod(above.stat().st_mode | 0o011)
        options = ["-A", "scram-sha-256", "-N", "--no-locale", "-E", "UTF8"]
        self._do("initdb", "-D", self.data, "-U", "me", f"--pwfile={self.folder / 'pw'}", *options)
        self.start()
        self._do("createdb", "-h", "127.0.0.1", "-p", self.port, "-U", "me", "studies")

    def start(self) -> None:
        settings = f"-p {self.port} -k '' -c listen_addresses=127.0.0.1 -c fsync=off"
        self._do("pg_ctl", "-D", self.data, "-o", settings, "-l", self.folder / "log", "-w", "start")

    def stop(self) -> None:
        self._do("pg_ctl", "-D", self.data, "-m", "immediate", "-w", "stop")

    def url(self, user: str = "me", password: str = PASSWORD, database: str = "studies") -> str:
        return f"postgresql+psycopg://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def sql(self, text: str, database: str = "studies") -> str:
        return self._do("psql", "-h", "127.0.0.1", "-p", self.port, "-U", "me", "-Atc", text, database)

    def _do(self, program: str, *arguments: object) -> str:
        command = [str(self.bin / program), *map(str, arguments)]
        if os.getuid() == 0:
            command = ["setpriv", f"--reuid={OWNER}", f"--regid={OWNER}", "--clear-groups", *command]
        done = subprocess.run(
            command, check=False, text=True, cwd="/", env={**os.environ, "PGPASSWORD": PASSWORD},
            stdout=subprocess.PIPE if program == "psql" else subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0 or "stop" in arguments, f"{program} failed; see {self.folder / 'log'}"
        return (done.stdout or "").strip()
