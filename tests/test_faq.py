"""What docs/faq.md says of networks is what the commands beside it print."""

import json
import re
from dataclasses import replace

import pytest
from conftest import ROOT

from scalesearch.networks.registry import get_baseline
from scalesearch.networks.spec import DEPTH_RULES
from scalesearch.scaling.coefficients import Coefficients
from scalesearch.scaling.realize import round_spec

TOLD = (ROOT / "docs/faq.md").read_text(encoding="utf-8")
BASELINE = get_baseline("efficientnet_b0")
PAPER = ("--phi", "1", "--alpha", "1.2", "--beta", "1.1", "--gamma", "1.15")
ROWS = {
    "B0": ("efficientnet_b0",),
    "B1, as released": ("efficientnet_b1",),
    "phi = 1, depth shared out": ("efficientnet_b0", *PAPER),
    "phi = 1, the official rounding": ("efficientnet_b0", *PAPER, "--rounding", "official"),
}


@pytest.mark.parametrize("row", ROWS)
def test_the_family_costs_what_the_table_says(call, row):
    code, out, _ = call("count", *ROWS[row], "--json")
    found = json.loads(out)
    line = re.search(rf"^\| {re.escape(row)} \| (.+) \| (.+) M \| (.+) \|$", TOLD, re.M)
    assert code == 0 and line
    assert line[2] == f"{found['macs'] / 1e6:.1f}"
    assert float(line[3]) == round(found["macs"] / 385_814_752, 2)
    assert line[1] == f"`scalesearch count {' '.join(ROWS[row])}`" or row.endswith("official rounding")


def depths(alpha, rounding):
    rules = replace(BASELINE.rules, depth_rule=rounding)
    return round_spec(BASELINE.spec, Coefficients(alpha, 1.0, 1.0), rules).depths


def test_rounding_stage_by_stage_makes_one_network_of_many_alphas():
    assert {tuple(depths(alpha, "official")) for alpha in (1.05, 1.1, 1.2, 1.25)} == {(2, 3, 3, 4, 4, 5, 2)}
    assert len({tuple(depths(alpha, "proportional")) for alpha in (1.05, 1.1, 1.2, 1.25)}) == 4
    assert f"({' '.join(map(str, depths(1.2, 'proportional')))}, which is {sum(depths(1.2, 'proportional'))})" in TOLD
    assert "official" in DEPTH_RULES


def test_fvcores_total_is_told(call):
    found = json.loads(call("count", "efficientnet_b0", "--json")[1])
    assert f"fvcore's total, {found['fvcore_total'] / 1e6:.1f} M" in TOLD


@pytest.mark.slow
@pytest.mark.parametrize(("name", "base"), [("EfficientNet-B0", "efficientnet_b0"), ("ResNet-18", "resnet18")])
def test_what_is_kept_and_what_is_weighed(call, name, base):
    found = json.loads(call("count", base, "--json")[1])
    weights, macs, kept = (found[key] / 1e6 for key in ("params", "macs", "activations"))
    row = f"| {name} | `scalesearch count {base}` | {weights:.1f} M | {macs:,.0f} M | {kept:.1f} M |"
    assert row in TOLD


def test_the_family_below_and_beside_the_formula(call, monkeypatch):
    monkeypatch.setenv("COLUMNS", "110")
    arguments = ("scale", "efficientnet_b0", "--alpha", "1.2", "--beta", "1.1", "--gamma", "1.15", "--phi=-2..0")
    code, out, _ = call(*arguments)
    rows = [row.split() for row in out.splitlines()]
    released = next(row for row in rows if row[:1] == ["b7"])
    assert code == 0 and f"`scalesearch {' '.join(arguments)}`" in TOLD
    depth, width, px = released[-3:]
    words = " ".join(TOLD.split())
    assert f"B7 costs phi {released[-7]}, its depth is {depth}, its width {width}, its resolution {px}" in words
    both = [row for row in rows if row[:1] in (["-2"], ["-1"])]  # costs of both, then their blocks
    costs, shapes = ({row[0]: row for row in part} for part in (both[:2], both[2:]))
    assert {phi: (row[4], row[7]) for phi, row in costs.items()} == {"-1": ("192", "201M"), "-2": ("168", "104M")}
    assert sum(map(int, shapes["-1"][1:8])) == 13
    assert "gives 201 M multiply-adds at phi -1 (192 px, 13 blocks) and 104 M at phi -2 (168 px)" in words


@pytest.mark.slow
def test_one_pixel_more(call):
    more = json.loads(call("count", "efficientnet_b0", "--resolution", "225", "--json")[1])["macs"] / 385_814_752 - 1
    assert f"counts {more:.1%} more than 224 px".replace("%", " %") in TOLD
