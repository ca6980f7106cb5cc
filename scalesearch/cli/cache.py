"""`scalesearch cache`: photographs that were decoded once and are kept for later studies."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scalesearch.cli.app import MACHINE, AsJson, app, confirm, show, show_json
from scalesearch.cli.shell import pages
from scalesearch.errors import StorageError, choice_error
from scalesearch.scaling.units import plural

if TYPE_CHECKING:
    from scalesearch.data.store.shelf import Shelf, StoreFolder

group = typer.Typer(
    cls=pages.GroupPage,
    help="Keep photographs decoded, once for all studies.\n\nSCALESEARCH_CACHE is their place.",
    epilog="scalesearch cache list",
    rich_markup_mode=None,
)
app.add_typer(group, name="cache", rich_help_panel=MACHINE)
STORES = "Stores"
DIGITS = 12
"""So much of a key is shown in a table."""
Keys = Annotated[
    list[str] | None, typer.Argument(metavar="[KEY...]", help="Their names, or the first digits; without one, all.")
]


@group.callback(invoke_without_command=True)
def _default(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        list_stores(as_json=False)


@pages.command(group, STORES, "scalesearch cache list --json", "list")
def list_stores(as_json: AsJson = False) -> None:
    """Show what is kept, the newest first, and where."""
    from scalesearch.data.store import Shelf
    from scalesearch.report.layout import FittingTable

    shelf = Shelf()
    found = shelf.kept()
    if as_json:
        show_json({"folder": str(shelf.folder), "stores": [_plain(one) for one in found]})
        return
    if found:
        table = FittingTable(("images", "px", "last used"), box=None, pad_edge=False)
        for head in ("key", "of", "images", "px", "MB", "last used"):
            table.add_column(
                head, justify="left" if head in ("key", "of", "last used") else "right", no_wrap=head != "of"
            )
        for one in found:
            table.add_row(*_row(one))
        show(table)
    total = sum(one.nbytes for one in found)
    sys.stdout.write(f"{_stores(found)}, {total / 1e6:,.1f} MB in {shelf.folder}\n")


@pages.command(group, STORES, "scalesearch cache check")
def check(keys: Keys = None, as_json: AsJson = False) -> None:
    """Read every byte, and say which stores are not what was written.

    A run makes such a store anew by itself.
    """
    from scalesearch.data.store import Shelf

    shelf = Shelf()
    found = {one.key: shelf.damage(one.key) for one in _chosen(shelf, keys)}
    if as_json:
        show_json({"folder": str(shelf.folder), "damage": found})
    else:
        for key, damage in found.items():
            sys.stdout.write(f"{key} {damage or 'is whole'}\n")
        if not found:
            sys.stdout.write(f"nothing is kept in {shelf.folder}\n")
    if bad := [key for key, damage in found.items() if damage]:
        raise StorageError(f"{len(bad)} of {len(found)} stores: take them away with: scalesearch cache clear {bad[0]}")


@pages.command(group, STORES, "scalesearch cache clear --yes")
def clear(
    keys: Keys = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Take stores away.

    The next run that needs one decodes its photographs again. It asks first.
    """
    from scalesearch.data.store import Shelf

    shelf = Shelf()
    found = _chosen(shelf, keys)
    if found and not yes:
        size = f"{_stores(found)}, {sum(one.nbytes for one in found) / 1e6:,.1f} MB"
        confirm(f"Take away {size}?", f"cache clear asks before it removes {size}", "nothing was taken away")
    freed = sum(shelf.remove(one.key) for one in found)
    if as_json:
        show_json({"removed": [one.key for one in found], "bytes": freed})
    else:
        sys.stdout.write(f"{_stores(found)} taken away, {freed / 1e6:,.1f} MB given back\n")


def _chosen(shelf: Shelf, keys: list[str] | None) -> list[StoreFolder]:
    """The stores that were named, each once; all where none was.

    Raises:
        UnknownNameError: there is no such store.
    """
    found = shelf.kept()
    wanted = dict.fromkeys(keys or [""])
    for key in wanted:
        if key and not any(one.key.startswith(key) for one in found):
            raise choice_error("store", key, [one.key for one in found])
    return [one for one in found if any(one.key.startswith(key) for key in wanted)]


def _stores(found: list[StoreFolder]) -> str:
    return plural(len(found), "store")


def _row(one: StoreFolder) -> list[str]:
    key, used = one.key[:DIGITS], _time(one.used)
    if one.facts is None:
        return [key, one.state, "", "", f"{one.nbytes / 1e6:,.1f}", used]
    facts = one.facts
    return [key, facts.source, f"{facts.images:,}", str(facts.side), f"{one.nbytes / 1e6:,.1f}", used]


def _plain(one: StoreFolder) -> dict[str, Any]:
    facts = one.facts
    about = {"of": facts.source, "images": facts.images, "px": facts.side} if facts else {}
    return {"key": one.key, "state": one.state, **about, "bytes": one.nbytes, "last_used": _time(one.used)}


def _time(seconds: float) -> str:
    import datetime

    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%d %H:%M")
