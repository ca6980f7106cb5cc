"""The tutorial, followed: its files and commands as they stand print what its page shows.

What a page shows is compared word by word, numbers within a tolerance, times not at all. A difference is told with the
line of the page, so that it is quickly mended. `...` on a page stands for what was left out.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np
import pytest
from conftest import COMMAND, ROOT
from documented import Block, lines_of, of_page, words_of
from PIL import Image

CIFAR = ROOT.parent / "shared" / "data" / "cifar10-jpeg.tar.gz"
TUTORIAL = of_page(ROOT / "docs/tutorial/own_network.md")
NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?")
TIME = re.compile(r"\d+(?:\.\d+)? (?:s|min|h)\b")
TRAINED = 0.5
"""Points by which what was trained may differ on another processor; on one machine it is the same to the last bit."""


# ------------------------------------------------------------------ what a page shows, against what was printed


def shape(word: str) -> str:
    """A word without its numbers."""
    return NUMBER.sub("#", word)


def numbers(word: str) -> list[float]:
    return [float(found.replace(",", "")) for found in NUMBER.findall(word)]


def words(line: str) -> list[str]:
    """The words of a line; a time is one word, and rules of tables are none."""
    return [word for word in TIME.sub("TIME", line).split() if set(word) != {"─"}]


def differences(shown: list[tuple[str, str]], printed: str, tolerance: float) -> list[str]:
    """What differs of an output that a page shows, one entry a line of the page.

    Args:
        shown: place and text of each line.
        tolerance: by how much a number may differ.
    """
    parts: list[list[tuple[str, str]]] = [[]]  # between `...`: place and word
    for place, line in shown:
        for i, piece in enumerate(re.split(r"(?:^|\s)\.\.\.(?=\s|$)", line)):
            parts += [[]] if i else []
            parts[-1] += [(place, word) for word in words(piece)]
    real, start, wrong = words(printed), 0, {}
    for part in filter(None, parts):
        places, found = zip(*part, strict=True)
        at = _place([shape(w) for w in found], [shape(w) for w in real[start:]])
        for k, i in enumerate(at):
            if i is None:
                wrong.setdefault(places[k], f"{found[k]!r} is not printed")
            elif any(
                abs(a - b) > tolerance + 1e-9 for a, b in zip(numbers(found[k]), numbers(real[start + i]), strict=True)
            ):
                wrong.setdefault(places[k], f"{found[k]!r} is now {real[start + i]!r}")
        start += max((i + 1 for i in at if i is not None), default=0)
    text = dict(shown)
    return [f"{place}: {said}, in: {text[place]}" for place, said in wrong.items()]


def _place(part: list[str], real: list[str]) -> list[int | None]:
    """Where each word of a part is in what was printed: as a whole where it is, or else as well as it fits."""
    for start in range(len(real) - len(part) + 1):
        if real[start : start + len(part)] == part:
            return list(range(start, start + len(part)))
    at: list[int | None] = [None] * len(part)
    for a, b, size in SequenceMatcher(None, part, real, autojunk=False).get_matching_blocks():
        at[a : a + size] = range(b, b + size)
    return at


SHOWN = [("p:1", "best  2.5 of ..."), ("p:2", "net  1,200  in 3 s")]


@pytest.mark.parametrize(
    ("printed", "said"),
    [
        ("a table\nbest 2.5 of them all\n──── ──\nnet 1,200 in 14 min", []),
        ("best 2.5\nof all, net\n1,200 in 2 h", []),
        ("best 2.9 of x net 1,200 in 3 s", []),
        ("best 3.1 of x net 1,200 in 3 s", ["p:1: '2.5' is now '3.1', in: best  2.5 of ..."]),
        ("best 2.5 of x net 1,203 in 3 s", ["p:2: '1,200' is now '1,203', in: net  1,200  in 3 s"]),
        ("best 2.5 of x network 1,200 in 3 s", ["p:2: 'net' is not printed, in: net  1,200  in 3 s"]),
        ("best 2.5 of x", ["p:2: 'net' is not printed, in: net  1,200  in 3 s"]),
        ("net 1,200 in 3 s best 2.5 of x", ["p:2: 'net' is not printed, in: net  1,200  in 3 s"]),
    ],
)
def test_a_line_of_a_page_that_differs_is_named(printed, said):
    assert differences(SHOWN, printed, 0.5) == said


# ------------------------------------------------------------------ following it


def shown_below(block: Block, line: str) -> list[tuple[str, str]]:
    """Place and text of the lines that a block shows below a command."""
    lines = block.text.splitlines()
    first = lines.index(f"$ {line}") + 1
    last = next((i for i in range(first, len(lines)) if lines[i].startswith("$ ")), len(lines))
    return [(f"{block.page}:{block.line + i}", lines[i]) for i in range(first, last)]


def steps() -> list[tuple[str, list[tuple[str, str]]]]:
    """Every command of the tutorial with what it shows."""
    consoles = [block for block in TUTORIAL if block.kind == "console"]
    return [(line, shown_below(block, line)) for block in consoles for line in lines_of(block)]


def write_files(folder: Path) -> None:
    network, _, use = (block.text for block in TUTORIAL if block.kind == "python")
    (folder / "my_net.py").write_text(network)
    (folder / "use.py").write_text(use)


def follow(line: str, folder: Path, more: tuple[str, ...] = ()) -> str:
    """What a command prints, stdout after stderr, on a terminal of 100 columns."""
    ((program, *arguments),) = words_of(line)
    command = [*COMMAND, *arguments, *more] if program == "scalesearch" else [sys.executable, *arguments]
    wide = {**os.environ, "COLUMNS": "100"}
    done = subprocess.run(command, cwd=folder, env=wide, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (line, done.stderr[-2000:])
    return f"{done.stderr}\n{done.stdout}"


def test_the_tutorial_has_steps_that_show_something():
    assert [line.split()[1] for line, shown in steps() if len(shown) > 5] == [
        "check-base", "run", "run", "verify", "export",
    ]  # fmt: skip


FEWER = {"--train-images 8000": "--train-images 100 --epochs 1 --seeds 1 --trials 5", "4000": "50"}
QUICK = ("--seeds", "2", "--top", "1", "--no-rates")


@pytest.mark.slow
def test_the_tutorial_goes_through_in_an_empty_folder(tmp_path):
    """On images of noise, and few trainings: what is printed before any training is what the page shows."""
    pytest.importorskip("timm")
    write_files(tmp_path)
    rng = np.random.default_rng(0)
    for split, number in (("train", 800), ("val", 400), ("test", 6)):
        for name in "abcdefghij":
            (tmp_path / "images" / split / name).mkdir(parents=True)
            for k, pixels in enumerate(rng.integers(0, 256, (number, 32, 32, 3), dtype=np.uint8)):
                Image.fromarray(pixels).save(tmp_path / "images" / split / name / f"{k}.jpg")
    wrong = []
    for line, shown in steps():
        untrained = "check-base" in line or "--dry-run" in line or line.startswith("python")
        if not untrained:
            for printed, instead in FEWER.items():
                line = line.replace(printed, instead)  # noqa: PLW2901
        said = follow(line, tmp_path, QUICK if " verify " in line else ())
        wrong += differences(shown, said, 0.0) if untrained else []
    assert wrong == []


@pytest.mark.slow
@pytest.mark.skipif(not CIFAR.is_file(), reason="needs shared/data/cifar10-jpeg.tar.gz")
def test_the_tutorial_prints_what_it_shows(tmp_path):
    """As it is typed, on the images that it was written with."""
    pytest.importorskip("timm")
    write_files(tmp_path)
    with tarfile.open(CIFAR) as archive:
        archive.extractall(tmp_path, filter="data")
    (tmp_path / "cifar10").rename(tmp_path / "images")
    wrong = [
        one for line, shown in steps() for one in differences(shown, follow(line, tmp_path), TRAINED)
    ]  # all of them, so that they are mended at once
    assert wrong == []
