"""The folder of an export: ours or refused, replaced as a whole, whatever happens meanwhile."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import read_only
from exporting import case, snapshot

import scalesearch.export.folder as folders
from scalesearch.errors import StorageError
from scalesearch.export import export_study
from scalesearch.export.folder import hashes, replacing


def export(out: Path, **changes: object) -> None:
    export_study(case(), "json", out, **changes)


def refused(out: Path, said: str) -> None:
    before = snapshot(out.parent)
    with pytest.raises(StorageError, match=said) as caught:
        export(out)
    assert "\n" not in str(caught.value)
    assert snapshot(out.parent) == before
    assert [p for p in out.parent.iterdir() if p.name.startswith(".")] == []


def test_an_export_of_ours_is_replaced_as_a_whole(tmp_path):
    export(tmp_path / "e", phis=(0, 1, 2))
    (tmp_path / "e" / "__pycache__").mkdir()
    (tmp_path / "e" / "__pycache__" / "x.pyc").write_text("left by python")
    export(tmp_path / "e", phis=(1,))
    card = json.loads((tmp_path / "e" / "card.json").read_text())
    assert [builder["phi"] for builder in card["builders"]] == [1]
    assert sorted(p.name for p in (tmp_path / "e").iterdir()) == ["card.json", "card.md"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["e"]


def test_the_card_tells_what_was_changed_since(tmp_path):
    export(tmp_path / "e")
    card = json.loads((tmp_path / "e" / "card.json").read_text())
    assert card["files"] == hashes(tmp_path / "e")
    text = (tmp_path / "e" / "card.md").read_bytes()
    (tmp_path / "e" / "card.md").write_bytes(bytes([text[0] ^ 1]) + text[1:])
    assert folders.altered(tmp_path / "e", card) == ("card.md",)


def test_an_empty_folder_is_taken(tmp_path):
    (tmp_path / "e").mkdir()
    export(tmp_path / "e")
    assert (tmp_path / "e" / "card.json").is_file()


def test_a_folder_of_somebody_elses_is_refused(tmp_path):
    (tmp_path / "e").mkdir()
    (tmp_path / "e" / "thesis.tex").write_text("years of work")
    refused(tmp_path / "e", r"has no card\.json that scalesearch wrote; nothing was touched: give another --out")
    for content in ("not json", "[]", '{"library": "timm"}', '{"scalesearch_export": 1}'):
        (tmp_path / "e" / "card.json").write_text(content)
        refused(tmp_path / "e", "exists and would be replaced")


@pytest.mark.parametrize("name", ["weights.pt", "sub/notes.md", "card.md"])
def test_what_was_put_into_an_export_is_never_lost(tmp_path, name):
    export(tmp_path / "e")
    (tmp_path / "e" / name).parent.mkdir(exist_ok=True)
    (tmp_path / "e" / name).write_text("mine")
    refused(tmp_path / "e", f"{name!r} in it is not as scalesearch wrote it")


def test_a_file_where_a_folder_should_be_is_refused(tmp_path):
    (tmp_path / "file").write_text("in the way")
    refused(tmp_path / "file", "is a file; allowed: --out with a folder")
    with pytest.raises(StorageError, match=r"cannot write to .*file': File exists"):
        export(tmp_path / "file" / "e")
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    with pytest.raises(StorageError, match="is a file"):
        export(tmp_path / "gone")
    assert (tmp_path / "file").read_text() == "in the way"


def test_the_current_folder_is_not_pulled_away(tmp_path, monkeypatch):
    (tmp_path / "here" / "below").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here" / "below")
    for out in (Path(), Path(".."), tmp_path):
        with pytest.raises(StorageError, match="holds the current folder"):
            export(out)
    export(Path("inside"))
    assert Path("inside/card.json").is_file()


def test_a_link_to_a_folder_stays_a_link(tmp_path):
    export(tmp_path / "real", phis=(0, 1))
    (tmp_path / "link").symlink_to(tmp_path / "real")
    export(tmp_path / "link", phis=(1,))
    assert (tmp_path / "link").is_symlink()
    assert len(json.loads((tmp_path / "real" / "card.json").read_text())["builders"]) == 1


def test_a_read_only_place_is_one_line(small_disk):
    export(small_disk / "e")
    before = snapshot(small_disk)
    read_only(small_disk)
    for out in (small_disk / "e", small_disk / "new" / "e"):
        with pytest.raises(StorageError, match="Read-only file system"):
            export(out)
    assert snapshot(small_disk) == before


def test_missing_folders_above_are_made(tmp_path):
    export(tmp_path / "a" / "b" / "e")
    assert (tmp_path / "a" / "b" / "e" / "card.json").is_file()


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, OSError])
def test_an_error_while_writing_leaves_the_old_one(tmp_path, error):
    export(tmp_path / "e")
    before = snapshot(tmp_path)
    with pytest.raises((error, StorageError)), replacing(tmp_path / "e") as draft:
        (draft / "half").write_text("written")
        raise error("stop")
    assert snapshot(tmp_path) == before
    assert [p.name for p in tmp_path.iterdir()] == ["e"]


def test_without_an_exchange_the_old_one_is_moved_aside_and_brought_back(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "_exchanged", lambda one, other: False)
    export(tmp_path / "e", phis=(0,))
    export(tmp_path / "e", phis=(1,))
    assert json.loads((tmp_path / "e" / "card.json").read_text())["builders"][0]["phi"] == 1
    before, rename = snapshot(tmp_path), Path.rename

    def failing(self: Path, target: Path) -> Path:
        if target == tmp_path / "e" and not self.name.endswith(".old"):
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(StorageError, match="No space left"):
        export(tmp_path / "e", phis=(0,))
    assert snapshot(tmp_path) == before


SWAPPING = """
import itertools, json, sys
from pathlib import Path
from scalesearch.export.folder import hashes, replacing

for number in itertools.count():
    with replacing(Path(sys.argv[1])) as draft:
        for name in "abc":
            (draft / name).write_text(str(number))
        card = {"scalesearch_export": 1, "files": hashes(draft)}
        (draft / "card.json").write_text(json.dumps(card))
    print(number, flush=True)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="two folders change places in one step on Linux alone")
def test_a_kill_leaves_the_old_one_or_the_new_one_whole(tmp_path):
    place = tmp_path / "e"
    for pause in (0.0, 0.011, 0.023, 0.037):
        process = subprocess.Popen([sys.executable, "-c", SWAPPING, str(place)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(pause)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        assert len({(place / name).read_text() for name in "abc"}) == 1
        assert json.loads((place / "card.json").read_text())["files"] == hashes(place)
