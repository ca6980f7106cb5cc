"""Files of others run nothing, take no more than they may, and what is given to others says nothing of the machine."""

from __future__ import annotations

import ast
import contextlib
import gzip
import hashlib
import io
import json
import os
import pickle
import sqlite3
import stat
import struct
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import ROOT
from exporting import case
from PIL import Image
from synthetic import Plan, manifest_of

from scalesearch.data import load_dataset
from scalesearch.data.decode import TooManyPixels, decoded, in_threads
from scalesearch.environment import memory
from scalesearch.environment.cells import cell
from scalesearch.environment.files import write_atomic
from scalesearch.environment.places import command_without_places, without_places
from scalesearch.errors import CheckpointError, DataError, ScaleSearchError
from scalesearch.report import html_report
from scalesearch.study import StudyPaths, StudyStore, create_study
from scalesearch.training.full.checkpoint import read_checkpoint
from scalesearch.training.weights import load_weights

SOURCES = sorted((ROOT / "scalesearch").rglob("*.py"))


class Bomb:
    """What leaves a mark where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return (Path.touch, (self.mark,))


@pytest.fixture
def mark(tmp_path) -> Path:
    return tmp_path / "ran"


def test_the_bomb_goes_off_where_it_is_unpickled(mark):
    pickle.loads(pickle.dumps(Bomb(mark)))
    assert mark.exists()


# Nothing pickled is loaded.

UNPICKLING = {
    ("data/library.py", "_Unpickler"): "the files of CIFAR, of which it takes arrays and plain values alone",
    ("export/onnx.py", "onnx.load"): "protobuf, which has no code, of what was written a moment before",
    ("training/workers/process.py", "pickle.loads"): "what the same line has just pickled",
    ("export/check/child.py", "pickle.loads"): "from its parent, in a folder that is its user's alone",
}
LOADERS = (
           "_Unpickler", "pickle.load", "pickle.loads",
           "pickle.Unpickler", "torch.load", "np.load", "numpy.load", "joblib.load",
           "marshal.loads", "marshal.load", "shelve.open", "dill.load", "dill.loads", "cloudpickle.load",
           "cloudpickle.loads", "pd.read_pickle", "torch.jit.load", "yaml.load", "exec", "eval", "compile",
           "tarfile.open", "shutil.unpack_archive", "np.fromfile", "onnx.load")  # fmt: skip


def calls_of(path: Path) -> list[tuple[str, ast.Call]]:
    found = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    return [(ast.unparse(node.func), node) for node in found]


def test_every_loader_in_the_source_says_that_it_loads_nothing_pickled():
    seen = set()
    for path in SOURCES:
        name = path.relative_to(ROOT / "scalesearch").as_posix()
        for called, node in calls_of(path):
            if called not in LOADERS:
                continue
            given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            if called == "np.load":
                assert given.get("allow_pickle") == "False", f"{name}:{node.lineno}"
            elif called == "torch.load":
                assert given.get("weights_only") == "True", f"{name}:{node.lineno}"
            else:
                seen.add((name, called))
    assert seen == set(UNPICKLING)


def test_no_source_turns_a_safe_loader_unsafe():
    words = ("allow_pickle=True", "weights_only=False", "load_extension", "shell=True", "os.system(", "verify=False")
    assert [(p.name, w) for p in SOURCES for w in words if w in p.read_text()] == []


def npz(path: Path, **arrays: object) -> Path:
    with path.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize("key", ["x", "y", "x_val"])
def test_an_npz_with_objects_is_refused_and_runs_nothing(tmp_path, mark, key):
    arrays = {"x": np.zeros((20, 4, 4), np.uint8), "y": np.arange(20) % 2, "x_val": np.zeros((4, 4, 4), np.uint8),
              "y_val": np.arange(4) % 2, key: np.array([Bomb(mark)] * 20, object)}  # fmt: skip
    with pytest.raises(DataError, match="allow_pickle"):
        load_dataset(f"npz:{npz(tmp_path / 'a.npz', **arrays)}")
    assert not mark.exists()


def as_npy(bomb: Bomb) -> bytes:
    content = io.BytesIO()
    np.save(content, np.array([bomb], object))
    return content.getvalue()


@pytest.mark.parametrize("make", [
    lambda bomb, path: path.write_bytes(pickle.dumps(bomb)),
    torch.save,
    lambda bomb, path: torch.save({"state": bomb}, path),
    lambda bomb, path: path.write_bytes(as_npy(bomb)),
], ids=["pickle", "torch", "torch dict", "npy"])  # fmt: skip
@pytest.mark.parametrize("read", ["npz", "weights", "checkpoint"])
def test_a_pickle_in_any_wrapping_is_refused_and_runs_nothing(tmp_path, mark, make, read):
    path = tmp_path / "content"
    make(Bomb(mark), path)
    if read == "checkpoint":
        path = path.rename(tmp_path / f"checkpoint-{7:09d}-{hashlib.sha256(path.read_bytes()).hexdigest()}.pt")
    actions = {"npz": lambda: load_dataset(f"npz:{path}"), "weights": lambda: load_weights(path),
               "checkpoint": lambda: read_checkpoint(path)}  # fmt: skip
    with pytest.raises(ScaleSearchError) as refused:
        actions[read]()
    assert "\n" not in str(refused.value)
    assert not mark.exists()


def test_a_database_with_pickles_in_it_runs_nothing(tmp_path, mark):
    paths = StudyPaths(tmp_path / "s")
    with create_study(paths, manifest_of(Plan(name="s"))):
        pass
    with contextlib.closing(StudyStore(paths)) as store:
        store.budget("2x").enqueue({"u": 0.5, "v": 0.5}, {})
    bomb = pickle.dumps(Bomb(mark))
    with contextlib.closing(sqlite3.connect(paths.database)) as connection, connection:
        for table in ("trial_user_attributes", "trial_system_attributes", "study_user_attributes"):
            connection.execute(f"UPDATE {table} SET value_json = ?", (bomb,))
    with (
        contextlib.suppress(ScaleSearchError, ValueError, UnicodeDecodeError),
        contextlib.closing(StudyStore(paths)) as store,
    ):
        store.records()
    assert not mark.exists()


# Archives and images are bounded.


@pytest.fixture
def little_memory(monkeypatch):
    """A machine with 10 MB free."""
    monkeypatch.setattr(memory, "free_bytes", lambda facts: 10_000_000)


def declaring(shape: tuple[int, ...], kind: str = "|u1") -> bytes:
    """An .npy file whose header says more than it holds."""
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + b"\0" * 64


@pytest.mark.parametrize("shape", [(10**9, 32, 32), (10**18,), (2**62, 2**62), (65, 1)])
def test_an_npz_that_declares_more_than_it_holds_is_refused_before_it_is_read(tmp_path, shape):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", declaring(shape))
        archive.writestr("y.npy", declaring((64,)))
    with pytest.raises(DataError, match=r"x (declares the shape|cannot be read)"):
        load_dataset(f"npz:{path}")


@pytest.mark.parametrize("size", [11_000_000, 200_000_000])
def test_an_npz_that_expands_to_more_than_is_free_is_refused_before_it_is(tmp_path, little_memory, size):
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, x=np.zeros((size // 1000, 1000), np.uint8), y=np.zeros(5))
    assert path.stat().st_size < size / 500
    with pytest.raises(DataError, match=r"x takes 0\.\d GB expanded, and 0\.0 GB of memory are free"):
        load_dataset(f"npz:{path}")


@pytest.mark.parametrize(("declared", "held", "said"), [
    (100, 100_000_000, "holds 101 bytes or more, its header says 100"),
    (20_000_000, 20_000_000, r"takes 0\.0 GB expanded, and 0\.0 GB of memory are free"),
    (4_000_000_000, 100_000_000, r"takes 0\.1 GB expanded, and 0\.0 GB of memory are free"),
    (4_000_000_000, 0, "holds 0 bytes, its header says 4000000000"),
])  # fmt: skip
def test_a_gzip_bomb_is_not_expanded_beyond_its_header(tmp_path, little_memory, declared, held, said):
    for kind, dims in (("images-idx3", (1, 1, declared)), ("labels-idx1", (declared,))):
        header = struct.pack(">HBB", 0, 8, len(dims)) + struct.pack(f">{len(dims)}I", *dims)
        (tmp_path / f"train-{kind}-ubyte.gz").write_bytes(gzip.compress(header + b"\0" * held, 9))
    with pytest.raises(DataError, match=said):
        load_dataset(f"fashion-mnist:{tmp_path}")


def icon(path: Path, side: int) -> Path:
    """An icon whose directory says 16 x 16 px, and whose picture has other sides."""
    content = io.BytesIO()
    Image.new("L", (side, side)).save(content, "PNG")
    data = content.getvalue()
    path.write_bytes(struct.pack("<3H4B2H2I", 0, 1, 1, 16, 16, 0, 0, 1, 8, len(data), 22) + data)
    return path


def test_images_have_no_more_pixels_than_is_allowed_whatever_their_header_says(tmp_path):
    large = tmp_path / "large.png"
    Image.new("L", (300, 300)).save(large)
    for path in (large, icon(tmp_path / "a.ico", 300)):
        with pytest.raises(TooManyPixels, match="90,000 pixels, over the limit of 40,000"):
            in_threads(lambda one: decoded(one, 40_000), [path], 40_000)
    assert in_threads(lambda one: decoded(one, 90_000), [large], 90_000)[0].size == (300, 300)
    assert Image.MAX_IMAGE_PIXELS is not None


def test_an_icon_that_hides_a_large_picture_is_told_and_skipped(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        for number in range(10):
            Image.new("L", (8, 8), number).save(tmp_path / name / f"{number}.png")
    icon(tmp_path / "one" / "bad.ico", 300)
    with pytest.raises(
        DataError, match=r"bad\.ico.*90,000 pixels, over the limit of 10,000, which --max-pixels raises"
    ):
        load_dataset(f"folder:{tmp_path}", max_pixels=10_000)
    data = load_dataset(f"folder:{tmp_path}", max_pixels=10_000, skip_bad=True)
    assert "1 image over --max-pixels skipped (the first is 'one/bad.ico')" in data.notes


@pytest.mark.parametrize("name", ["../out.npy", "/tmp/out.npy", "x/../../y.npy"])
def test_names_within_an_archive_lead_nowhere(tmp_path, name):
    path = tmp_path / "in" / "a.npz"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        for inside in (name, "x.npy", "y.npy"):
            archive.writestr(inside, declaring((64,)))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DataError):
        load_dataset(f"npz:{path}")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_checkpoint_that_is_compressed_is_refused_before_it_expands(tmp_path):
    plain, packed = io.BytesIO(), io.BytesIO()
    torch.save({"x": torch.zeros(1_000_000)}, plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target:
        for member in source.namelist():
            target.writestr(member, source.read(member))
    for data, fine in ((plain.getvalue(), True), (packed.getvalue(), False)):
        path = tmp_path / f"checkpoint-{1:09d}-{hashlib.sha256(data).hexdigest()}.pt"
        path.write_bytes(data)
        if fine:
            assert read_checkpoint(path)["x"].numel() == 1_000_000
        else:
            with pytest.raises(CheckpointError, match="is compressed"):
                read_checkpoint(path)


# Pages and tables that others open.

MARKUP = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</pre><svg onload=alert(1)>", "{{ 7 * 7 }}"]


@pytest.mark.parametrize("text", MARKUP)
def test_what_others_wrote_is_text_on_the_page(text):
    result = case()
    manifest = result.manifest
    data = replace(manifest.data, spec=text, notes=(text,), warnings=(text,), splits=text, class_names=(text,))
    manifest = replace(
        manifest, study=text, command=text, device=text, host={"a": text}, versions={text: text}, data=data
    )
    page = html_report(replace(result, manifest=manifest), {}, {text: text})
    assert page.count("<script") == 1
    assert "<img" not in page.replace('<img src="data:image/png;base64,', "")
    assert "<svg" not in page
    assert ">49<" not in page


def test_a_page_loads_nothing_and_runs_its_own_script_alone():
    page = html_report(case(), {"pareto": "<svg></svg>"})
    head = page[: page.index("<title>")]
    (policy,) = [line for line in head.splitlines() if "Content-Security-Policy" in line]
    for rule in ("default-src 'none'", "base-uri 'none'", "form-action 'none'"):
        assert rule in policy
    assert "unsafe" not in policy
    assert "script-src 'sha256-" in policy
    assert "style-src 'sha256-" in policy
    assert head.index("charset") < head.index("Content-Security-Policy") < page.index("<style>")


@pytest.mark.parametrize(("value", "safe"), [
    ("=1+1", "'=1+1"), ("+49", "'+49"), ("-x", "'-x"), ("@SUM(A1)", "'@SUM(A1)"), ("\t=1", "'\t=1"), ("\r=1", "'\r=1"),
    ("a=1", "a=1"), ("", ""), (-0.5, -0.5), (None, None), (True, True), ("2x", "2x"), ("[-1]", "[-1]"),
])  # fmt: skip
def test_text_that_a_spreadsheet_would_compute_is_text(value, safe):
    assert cell(value) == safe


@pytest.mark.parametrize("note", ["=HYPERLINK('http://x')", "+1", "-cmd", "@x", "\tx", "plain, with a comma"])
def test_tables_of_a_study_hold_no_formulas_and_numbers_stay(note):
    from scalesearch.study.database import _csv

    frame = pd.DataFrame({"note": [note, None], "loss": [-0.5, float("nan")], "roles": ["width", note]})
    text = _csv(frame)
    back = pd.read_csv(io.StringIO(text))
    expected = note if note.startswith("plain") else f"'{note}"
    assert back["note"][0] == expected
    assert back["roles"][1] == expected
    assert back["loss"][0] == -0.5
    assert frame["note"][0] == note
    assert ",-0.5,width" in text


# What is given to others.


@pytest.mark.parametrize(("text", "without"), [
    ("folder:/home/ada/photos", "folder:photos"), ("in '/srv/a b/x.npz'", "in 'a b/x.npz'"),
    ("/etc/passwd and /x", "passwd and x"), ("C:\\Users\\ada\\x.npz", "x.npz"), ("\\\\host\\share\\x", "x"),
    ("~/data", "data"), ("~ada/data", "data"), ("1/2 of 3 / 4, and/or", "1/2 of 3 / 4, and/or"),
    ("https://example.org/a/b", "https://example.org/a/b"), ("relative/path", "relative/path"), ("a.b/c", "a.b/c"),
])  # fmt: skip
def test_paths_keep_their_last_part(text, without):
    assert without_places(text) == without


@pytest.mark.parametrize(("command", "without"), [
    ("scalesearch run --data 'folder:/a/my x' --budget 2x", "scalesearch run --data 'folder:my x' --budget 2x"),
    ("scalesearch run --out=/home/ada/x --seed 3", "scalesearch run --out=x --seed 3"),
    ("x --address ray://node7.cluster:10001", "x --address ..."),
    ("x --storage=postgresql://u:p@h/d", "x --storage=..."),
    ("/usr/local/bin/scalesearch run", "scalesearch run"), ("broken 'quote /home/ada/x", "broken 'quote x"),
])  # fmt: skip
def test_commands_keep_everything_but_places(command, without):
    assert command_without_places(command) == without


HOME = "/home/ada lovelace/projects"


def private_result():
    result = case()
    manifest = result.manifest
    data = replace(
        manifest.data, spec=f"folder:{HOME}/photos", notes=(f"left out: {HOME}/photos/a.txt",),
        warnings=(f"image {HOME}/photos/b.png is black",), splits=f"train from {HOME}/photos/train",
    )  # fmt: skip
    config = replace(manifest.config, data=f"folder:{HOME}/photos")
    command = f"scalesearch run --data 'folder:{HOME}/photos' --studies-dir '{HOME}/studies'"
    return replace(result, manifest=replace(manifest, config=config, data=data, command=command))


def test_a_report_names_no_place_unless_asked():
    page = html_report(private_result(), {}, {"law": "OSError: '/home/ada/x.png' is missing"})
    for secret in ("ada", "lovelace", "/home", "projects"):
        assert secret not in page
    assert "photos" in page
    assert "x.png" in page
    assert f"{HOME}/photos" in html_report(private_result(), {}, places=True)


@pytest.mark.parametrize("to", ["json", "python", "timm"])
def test_an_export_and_its_card_name_no_place_unless_asked(tmp_path, to):
    from scalesearch.export import export_study

    command = f"scalesearch export s --out '{HOME}/out'"
    export_study(private_result(), to, tmp_path / "e", check=False, command=command)
    for path in (tmp_path / "e").rglob("*"):
        text = path.read_text()
        for secret in ("lovelace", "/home", "projects"):
            assert secret not in text, (path.name, secret)
    export_study(private_result(), to, tmp_path / "f", check=False, command=command, places=True)
    assert f"{HOME}/photos" in json.loads((tmp_path / "f" / "card.json").read_text())["data"]["spec"]


@pytest.mark.parametrize("text", ['"""\nimport os\nos.abort()\n"""', "\\", "'''", "\n\nraise SystemExit\n", "\\N{BEL}"])
def test_what_a_study_says_cannot_become_code_of_an_export(tmp_path, text):
    from scalesearch.export import export_study

    result = case()
    manifest = replace(result.manifest, command=text, data=replace(result.manifest.data, spec=text, notes=(text,)))
    export_study(replace(result, manifest=manifest), "python", tmp_path / "e", check=False, places=True)
    (path,) = (tmp_path / "e").glob("*.py")
    tree = ast.parse(path.read_text())
    assert "os.abort" not in [ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    assert not [node for node in tree.body if isinstance(node, ast.Raise)]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664), (0o027, 0o640)])
def test_files_have_the_mode_that_their_user_wants(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        write_atomic(tmp_path / "new" / "a.txt", "x")
        paths = StudyPaths(tmp_path / "studies" / "s")
        with create_study(paths, manifest_of(Plan(name="s"))):
            pass
    finally:
        assert os.umask(before) == umask
    for path in (tmp_path / "new" / "a.txt", *(one for one in paths.folder.rglob("*") if one.is_file())):
        assert stat.S_IMODE(path.stat().st_mode) == mode, path
    assert stat.S_IMODE(paths.folder.stat().st_mode) == mode | (mode & 0o444) >> 2
