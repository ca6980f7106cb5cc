"""Where a study is that is not in its folder: the file `storage.toml` there says it, without a password."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tomli_w

from scalesearch.errors import ScaleSearchError, StudyError
from scalesearch.study.config import read_toml
from scalesearch.study.server.address import Server, parse_server

IDENTITY = "identity"
"""Attribute of a study in a server that its folders know it by, should another one take its name there."""


@dataclass(frozen=True, slots=True)
class Served:
    """A study in a server.

    Attributes:
        study: its name there.
        identity: as the server keeps it; empty where no folder says it.
    """

    server: Server
    study: str
    identity: str = ""

    def __str__(self) -> str:
        return f"study {self.study!r} in {self.server}"


_NEVER_KEPT = ("require_auth", "passfile", "service", "sslkey", "sslcert", "gssdelegation")
"""Settings that say how a user is known: a folder that somebody else made must not choose them."""


def without_secrets(server: Server) -> Server:
    """An address as a folder keeps it."""
    return Server(server.parts.difference_update_query(_NEVER_KEPT).render_as_string(hide_password=False))


def read_served(path: Path) -> Served | None:
    """What a folder's `storage.toml` says; None where there is none.

    Raises:
        StudyError: the file is damaged.
    """
    try:
        if not path.is_file():
            return None
        values = read_toml(path)
        server = parse_server(str(values["url"]), str(path))
        if server != without_secrets(server):
            raise StudyError(f"it sets {', '.join(_NEVER_KEPT)}, or one of them")
        return Served(server, str(values["study"]), str(values[IDENTITY]))
    except OSError:  # a name longer than the file system takes
        return None
    except (ScaleSearchError, KeyError) as error:
        raise StudyError(
            f"{str(path)!r}, which says on which server the study is, is damaged ({error}); remove it, and name the "
            "server by --storage"
        ) from None


def served_text(served: Served) -> str:
    """The text of `storage.toml`."""
    values = {"url": without_secrets(served.server).url, "study": served.study, IDENTITY: served.identity}
    return f"# Where this study is. The password comes from PGPASSWORD or ~/.pgpass.\n{tomli_w.dumps(values)}"
