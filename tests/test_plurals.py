"""Where a number is one, what it counts is one too."""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from pathlib import Path

import pytest
import synthetic
from shown import flat

import scalesearch
from scalesearch.analysis.failed.networks import all_lost_advice
from scalesearch.analysis.noise import reliability
from scalesearch.cli.progress import stages_lines
from scalesearch.report import render_result
from scalesearch.report.text import change_lines
from scalesearch.scaling.units import plural
from scalesearch.study.manifest import AcceptedChange
from scalesearch.training.watch import StagesPlan

SEVERAL = re.compile(
    r"(?<![\d.,+/-])(?<! of )1 (?:new |short |distinct |more |other )*(?:seeds|trainings|networks|epochs|images|budgets"
    r"|workers|stages|rates|files|studies|channels|processes|pieces|steps|classes)\b"
)
"""One of several things: `1 of 3 seeds` is none."""


def sentences(path: Path) -> list[str]:
    """Every text that stands in a module."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def test_no_sentence_leaves_the_number_to_the_reader():
    """`1 seed(s)` is neither one nor several."""
    sources = Path(scalesearch.__file__).parent.rglob("*.py")
    assert [text for path in sources for text in sentences(path) if re.search(r"[a-z]\(s\)(?!\w)", text)] == []


@pytest.mark.parametrize("plan", [{"seeds": 1}, {"seeds": 1, "networks": 1}, {"seeds": 1, "trained": 0.2}])
def test_a_study_of_one_seed_or_one_network_is_told_in_the_singular(plan):
    assert SEVERAL.findall(flat(render_result(synthetic.study(**plan)))) == []


def test_one_training_that_is_there_is():
    manifest = synthetic.study(seeds=1).manifest
    one, two = (AcceptedChange("2026-11-24T10:00:00Z", ("seeds is 1, was 2",), count) for count in (1, 2))
    first, second = change_lines(replace(manifest, changes=(one, two)))
    assert "the 1 training before is kept in" in first
    assert "the 2 trainings before are kept in" in second


def test_what_verify_is_about_to_train_is_told_in_the_singular():
    (*_, one), (*_, two) = (stages_lines(StagesPlan("mine", (), (), n, n, 60.0)) for n in (1, 2))
    assert one.startswith("1 training with 1 worker: ")
    assert two.startswith("2 trainings with 2 workers: ")


def test_numbers_that_are_not_one_are_several():
    assert [plural(n, "seed") for n in (0, 1, 1.0, 1.5, 2, 1200)] == [
        "0 seeds", "1 seed", "1 seed", "1.5 seeds", "2 seeds", "1200 seeds",
    ]  # fmt: skip


def test_the_seeds_that_would_tell_networks_apart_are_counted():
    """Spearman-Brown: at an ICC of 0.8 one seed gives a reliability of 0.8."""
    apart = [(0.70, 0.701), (0.80, 0.801), (0.90, 0.901)]
    found = reliability(apart)
    assert found is not None
    assert SEVERAL.findall(found.words) == []


def test_the_only_network_that_failed_is_no_all():
    lost = synthetic.study(seeds=1, failed=True)
    own = [s for s in lost.budgets[0].networks if s.failed]
    assert all_lost_advice(own[:1]).startswith("The one network that was trained ")
