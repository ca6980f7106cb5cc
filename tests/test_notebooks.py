"""The notebooks: whole and clean at any time; run in an empty folder, with what a reader sees (slow)."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)


def code_cells(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def test_the_numbers_of_the_notebooks_are_whole():
    assert [path.name[:3] for path in NOTEBOOKS] == [f"{number:02d}_" for number in range(1, len(NOTEBOOKS) + 1)]


@each
def test_a_notebook_is_clean_and_its_cells_are_python(path):
    transformer = pytest.importorskip("IPython.core.inputtransformer2").TransformerManager()
    cells = code_cells(path)
    assert len(cells) >= 5
    for number, cell in enumerate(cells):
        source = "".join(cell["source"])
        if source.startswith("%%writefile"):
            source = source.partition("\n")[2]
        compile(transformer.transform_cell(source), f"{path.name}, code cell {number}", "exec")
        assert cell["outputs"] == [] and cell["execution_count"] is None, f"{path.name}: outputs of an earlier run"
    named = re.findall(r"(?:/home/|/root/|/tmp/|/work/|/Users/|[A-Z]:\\\\)\S*", path.read_text(encoding="utf-8"))
    assert named == [], "paths of somebody's machine"


class Executed:
    """A notebook after its run: what its cells printed and drew, and the folder it ran in."""

    def __init__(self, cells, folder):
        outputs = [o for cell in cells for o in cell.get("outputs", [])]
        texts = [o.get("text", "") + o.get("data", {}).get("text/plain", "") for o in outputs]
        self.text = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(texts))
        self.words = " ".join(self.text.split())
        self.figures = sum("image/png" in o.get("data", {}) for o in outputs)
        self.folder = folder

    def result(self, study):
        return json.loads((self.folder / "studies" / study / "result.json").read_text(encoding="utf-8"))


@pytest.fixture
def execute(tmp_path, monkeypatch):
    """Runs one in an empty folder; `!scalesearch` is that of this Python.

    With SCALESEARCH_NOTEBOOKS, a folder of the repository, what ran is kept there for the pages of the site.
    """
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))

    def run(name):
        notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
        client = nbclient.NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(tmp_path)}})
        done = Executed(client.execute().cells, tmp_path)
        if kept := os.environ.get("SCALESEARCH_NOTEBOOKS"):
            folder = FOLDER.parent / kept
            folder.mkdir(parents=True, exist_ok=True)
            written = nbformat.writes(notebook).replace(f"{tmp_path}/", "")  # nobody's machine
            (folder / f"{name}.ipynb").write_text(written, encoding="utf-8")
        assert "Traceback" not in done.text
        return done

    return run


# Warnings of the Jupyter client's own event loop and database handling are not ours to mend.
pytestmark = pytest.mark.filterwarnings("default")


@pytest.mark.slow
def test_01_a_first_study(execute):
    done = execute("01_first_study")
    assert "Budget 2x" in done.text and done.figures >= 3
    assert done.result("first-study")["complete"]


@pytest.mark.slow
def test_02_a_mistake_is_named_and_a_stopped_study_goes_on(execute):
    done = execute("02_own_network_and_images")
    assert "{'boot': 120, 'sandal': 120, 't-shirt': 120, 'trouser': 120}" in done.text
    assert "depth is ignored" in done.words and "check-base found 1 problem in 'my_mistake:build'" in done.words
    assert re.search(r"biuld.*\bbuild\b", done.words)
    stopped = re.search(r"scalesearch resume mine", done.words)
    whole = re.search(r"(\d+) trainings, (\d+) complete", done.words)
    assert stopped and whole[1] == whole[2] and done.result("mine")["complete"]
    assert "import my_net my_net.build(depth=" in done.words
    assert "weights, as in the study: True" in done.words


@pytest.mark.slow
def test_03_shuffled_labels_teach_nothing_and_the_card_says_so(execute):
    done = execute("03_reading_the_evidence")
    real, luck = done.result("real"), done.result("luck")
    assert real["complete"] and real["budgets"][0]["verification"] and done.figures == 1
    assert luck["complete"] and luck["budgets"][0]["answer"]["kind"] == "open"
    assert "No answer yet. Nothing was learned: of 12 trainings none is clearly better than guessing" in done.words
    low, high = map(float, re.search(r"accuracies ([\d.]+)% to ([\d.]+)%; a guess has 10", done.words).groups())
    assert 5 < low <= high < 16
    assert len(re.findall(r"ICC -?[\d.]+ \(95 % interval", done.words)) >= 2


@pytest.mark.slow
def test_04_what_timm_builds_is_what_was_trained(execute):
    done = execute("04_from_coefficients_to_timm")
    assert "['small_2x_phi0', 'small_2x_phi1', 'small_2x_phi2']" in done.text
    for what in ("weights", "multiply-adds"):
        timm, study = re.search(rf"{what} timm ([\d,]+) study ([\d,]+)", done.words).groups()
        assert timm == study
    assert re.search(r"small_2x_phi0 62,084 569,856 0\.0e\+00", done.words)
    assert re.search(r"largest difference of any logit: \d\.\de[-+]\d\d", done.words)
    assert "extrapolated" in done.words


@pytest.mark.slow
def test_05_two_is_not_two_to_the_digit(execute):
    done = execute("05_why_2x_is_not_2x")
    assert "one step of phi: 1.9203x; seven steps: 96.3x" in done.words
    assert "official 23 blocks (2, 3, 3, 4, 4, 5, 2), 256 px: 859,853,760 = 2.229x" in done.words
    assert "proportional 19 blocks (1, 2, 2, 4, 4, 5, 1), 256 px: 687,240,576 = 1.781x" in done.words
    assert "{'official': 1, 'proportional': 4} networks" in done.words
    assert "256 px: 503,337,472; 257 px: 575,642,080, which is +14.4%" in done.words
    assert "efficientnet_b4 380 4.39G 19.3M 49.5M 4.2B*" in done.words
    assert re.search(r"depth 32 224 2\.028 2\.003", done.words) and done.figures == 2


@pytest.mark.slow
def test_06_four_ways_cost_the_same_and_are_held_against_each_other(execute):
    done = execute("06_the_papers_comparison")
    found = done.result("table7-efficientnet_micro")
    assert found["complete"] and done.figures == 1
    for way in ("depth", "width", "resolution"):
        assert re.search(rf"against {way} +[-+\d.]+ to [-+\d.]+ points: \w+|best: {way}\b", done.text)
    over = [float(miss) for miss in re.findall(r"([-+]\d\.\d)%", done.text)]
    assert len(over) == 5 and max(map(abs, over)) <= 2
