"""`scalesearch delete`: studies that are no longer wanted."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scalesearch.cli.app import AsJson, StudiesDir, app, show_json
from scalesearch.errors import StudyError, UsageError

if TYPE_CHECKING:
    from scalesearch.study.removal import Doomed


@app.command()
def delete(
    studies: Annotated[list[str], typer.Argument(metavar="STUDY...", help="Names of studies (see: scalesearch list).")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    studies_dir: StudiesDir = Path("studies"),
    as_json: AsJson = False,
) -> None:
    """Delete studies with everything in their folders: results, figures, exports, trained weights.

    It asks first. A study that is running is refused, and then none is deleted.
    """
    from scalesearch.study import find_study
    from scalesearch.study.removal import delete_study, doomed

    found = [doomed(find_study(name, studies_dir)) for name in dict.fromkeys(studies)]
    if not yes:
        _ask(found)
    gone: list[dict[str, Any]] = []
    try:
        for one in found:
            delete_study(one.paths)
            gone.append({"folder": str(one.paths.folder), "files": one.files, "bytes": one.bytes})
            if not as_json:
                sys.stdout.write(f"deleted {one.paths.folder}\n")
    finally:
        if as_json and gone:
            show_json({"deleted": gone})


def _ask(found: list[Doomed]) -> None:
    """Have it confirmed on a terminal."""
    names = " ".join(one.paths.name for one in found)
    if not sys.stdin.isatty():
        raise UsageError(f"delete asks before it removes {names}, and there is no terminal to ask on; give --yes")
    for one in found:
        sys.stderr.write(f"{one.paths.folder}: {one.files} files, {one.bytes / 1e6:.1f} MB\n")
    what = "this study" if len(found) == 1 else f"these {len(found)} studies"
    if not typer.confirm(f"Delete {what}?", err=True):
        raise StudyError(f"not confirmed: nothing was deleted ({names})")
