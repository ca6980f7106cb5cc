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
