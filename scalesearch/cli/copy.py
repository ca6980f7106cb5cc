"""`scalesearch copy`: studies between folders and servers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from scalesearch.cli.app import Storage, StudiesDir, StudyName, app, located


@app.command()
def copy(
    study: StudyName,
    to: Annotated[
        str, typer.Option("--to", metavar="URL|FOLDER", help="A server (as for --storage), or a folder of studies.")
    ],
    name: Annotated[str | None, typer.Option(help="Name of the copy [the study's].")] = None,
    studies_dir: StudiesDir = Path("studies"),
    storage: Storage = None,
) -> None:
    """Copy a study with everything that it has trained: to a server, from one, or to another folder.

    The study stays where it is. What is drawn, exported or trained in full stays in its folder.
    """
    from scalesearch.study.config import check_study_name
    from scalesearch.study.copied import copy_to_folder, copy_to_server
    from scalesearch.study.folder import resume_command
    from scalesearch.study.server.address import parse_server

    paths = located(study, studies_dir, storage)
    wanted = check_study_name(name or paths.name)
    if "://" in to:
        served = copy_to_server(paths, parse_server(to, "--to"), wanted)
        sys.stdout.write(f"copied to {served}\n")
        sys.stderr.write(f"note: go on with the copy by: scalesearch resume {wanted} --storage {served.server.url}\n")
        return
    there = copy_to_folder(paths, Path(to), wanted)
    sys.stdout.write(f"copied to {there.folder}\n")
    sys.stderr.write(
        f"note: go on with the copy by: {resume_command(there)}; "
        f"{resume_command(there).replace('resume', 'report', 1)} writes its result and figures\n"
    )
