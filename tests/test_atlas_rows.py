"""The atlas: rows from studies and from files, which of them is nearest, what differs between them."""

import dataclasses
import json

import numpy as np
import pytest
from atlas_rows import row, rows
from scipy import stats
from shown import check_legible, flat
from synthetic import study

import scalesearch
from scalesearch.analysis.atlas.collect import row_of
from scalesearch.analysis.atlas.differ import heterogeneity, share_differences
from scalesearch.analysis.atlas.leads import leads
from scalesearch.analysis.atlas.row import AtlasGain, LongerSlopes, row_from_dict, row_to_dict
from scalesearch.analysis.atlas.shipped import joined, nearest, read_rows, rows_path, rows_text
from scalesearch.analysis.fidelity.summary import Fidelity, RankChange
from scalesearch.api import Atlas
from scalesearch.errors import BudgetError
from scalesearch.report.atlas import differing, markdown_atlas, render_atlas
from scalesearch.report.atlas.figure import draw_atlas
from scalesearch.scaling.units import DIMENSIONS
from scalesearch.study.config.atlas import read_atlas


def test_a_row_says_what_its_study_found():
    result = study(networks=12, seeds=3)
    budget = result.budgets[0]
    found = row_of(result, budget, "atlas", "fashion-mnist")
    assert found is not None
    assert (found.family, found.data, found.budget) == (result.manifest.config.base, "fashion-mnist", "2x")
    assert found.network.depths == budget.best.network.spec.depths
    assert found.shares.depth + found.shares.width + found.shares.resolution == pytest.approx(1)
    assert 0 < found.region_area <= 1
    assert found.network.uniform and found.gain is None  # uniform scaling came first here
    assert found.verified is None  # no verification was run
    assert min(map(abs, found.surface)) == 0.0  # at uniform


def test_one_seed_gives_no_row():
    result = study(networks=12, seeds=1)
    assert row_of(result, result.budgets[0], "atlas", "fashion-mnist") is None


def test_rows_survive_their_file():
    found = rows()
    again = read_rows(rows_text(found))
    assert [r.name for r in again] == [r.name for r in found]
    assert again == read_rows(rows_text(again))
    assert row_from_dict(json.loads(json.dumps(row_to_dict(found[0])))).gain == found[0].gain


def test_what_ships_is_small_and_can_be_read():
    assert rows_path().stat().st_size < 200_000
    assert scalesearch.atlas().rows == read_rows(rows_path().read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("base", "ratio", "data", "names"),
    [
        ("resnet50", 2.0, "cifar10", ["resnet_micro on cifar10 at 2x"]),
        ("timm:vit_tiny_patch16_224", 3.0, "cifar10", ["vit_micro on cifar10 at 4x"]),  # log 3 is nearer to log 4
        ("vit_micro", 0.7, "fashion-mnist", ["vit_micro on fashion-mnist at 0.5x"]),
        ("resnet50", 8.0, "folder:mine", ["resnet_micro on fashion-mnist at 4x", "resnet_micro on cifar10 at 4x"]),
        ("my_net:build", 2.0, "cifar10", ["resnet_micro on cifar10 at 2x", "vit_micro on cifar10 at 2x"]),
        ("resnet50", 1.0, "cifar10", []),
    ],
)
def test_the_nearest_row_is_of_the_family_then_the_data_then_the_budget(base, ratio, data, names):
    assert [r.name for r in nearest(rows(), base, ratio, data)] == names


def test_a_budget_under_the_baseline_is_never_served_by_one_above_it():
    assert nearest([row(budget="2x")], "resnet_micro", 0.5) == ()


def test_heterogeneity_by_hand():
    """Of a (1, 3) and b (6, 8), variances 1: within 2 + 2 on 2 degrees, so t^2 = (4 - 2) / (1 + 1) = 1.

    Then the means 2 and 7 have a variance of (1 + 1) / 2 = 1 each, and Q = 25 / 2.
    """
    found = heterogeneity(["a", "a", "b", "b"], [1.0, 3.0, 6.0, 8.0], [1.0] * 4)
    assert (found.between_rows, found.q, found.degrees) == (1.0, 12.5, 1)
    assert found.p == pytest.approx(0.000407, abs=1e-6)
    assert [(g.mean, g.sd) for g in found.groups] == [(2.0, 1.0), (7.0, 1.0)]
    (difference,) = found.differences
    assert difference.value == -5.0
    assert difference.ci95 == pytest.approx((-5 - 1.959964 * 2**0.5, -5 + 1.959964 * 2**0.5))


def test_a_planted_difference_is_found_and_no_other():
    found = share_differences([r for r in rows() if r.ratio > 1])
    assert {(one.of, one.dimension) for one in found if one.differs} == {("family", "width"), ("family", "resolution")}
    text = "\n".join(differing(rows()))
    assert "from 20 ± 2 % for resnet_micro to 60 ± 2 % for vit_micro, a difference of 40 (33 to 47)" in text
    assert "Above 1x (8 rows)" in text and "Under 1x, where shares are of what is saved (4 rows)" in text


def test_what_is_known_badly_is_no_difference():
    wide = [row("a_net", shares=(0.2, 0.3, 0.5), sd=0.2), row("b_net", shares=(0.2, 0.6, 0.2), sd=0.2)]
    assert not any(one.differs for one in share_differences(wide))
    assert "No evidence of a difference in the share of depth by family" in differing(wide)[2]


def test_the_atlas_in_python():
    atlas = Atlas(rows())
    frame = atlas.frame()
    assert len(frame) == 12 and frame.loc[0, "verified"] == pytest.approx(0.8)
    assert [r.name for r in atlas.nearest("resnet50", "2x", "cifar10")] == ["resnet_micro on cifar10 at 2x"]
    with pytest.raises(BudgetError, match="no multiple of a baseline; allowed here: a multiple such as 2x"):
        atlas.nearest("resnet50", "800M")
    assert "resnet_micro" in atlas._repr_html_()


def test_table_and_figure(tmp_path, call):
    path = tmp_path / "rows.json"
    path.write_text(rows_text(rows()), encoding="utf-8")
    code, out, _ = call("atlas", "show", "--rows", path, "--json")
    assert (code, len(json.loads(out)["rows"])) == (0, 12)
    lines = markdown_atlas(rows()).splitlines()
    assert lines[2].startswith("| resnet_micro | fashion-mnist | 0.5x | 20±5 / 20±5 / 60±5 |")
    assert "+0.80 (+0.10 to +1.50)" in lines[2]
    fig = draw_atlas(rows())
    assert len(fig.axes) == 6
    check_legible(fig)
    code, _, err = call("atlas", "show", "--rows", tmp_path / "none.json")
    assert code == 1 and "cannot be read" in err


def test_what_the_leaders_are_worth_is_one_mean_over_studies():
    """Budgets of one study are no independent evidence; uniform scaling that came first is no lead."""
    itself = dataclasses.replace(row().network, uniform=True)
    found = (
        row(budget="2x", verified=AtlasGain(0.01, (0.002, 0.018))),
        row(budget="4x", verified=AtlasGain(0.03, (-0.01, 0.07))),
        row("vit_micro", verified=AtlasGain(-0.02, (-0.03, -0.01))),
        row("densenet_micro", network=itself, gain=None, verified=None),
        row("convnext_micro", verified=None),
    )
    told = leads(found)
    assert told is not None and (told.rows, told.studies, told.ahead, told.behind) == (4, 3, 1, 1)
    values = np.array([0.02, -0.02, 0.0])
    half = stats.t.ppf(0.975, 2) * values.std(ddof=1) / np.sqrt(3)
    assert told.mean == pytest.approx(0.0) and told.ci95 == pytest.approx((-half, half))
    assert told.words == (
        "On new seeds and the test images the network that came first is +0.00 points from uniform scaling (mean of 3 "
        "studies, 95 % interval -4.97 to +4.97); a row's own interval lies above 0 in 1 of 4 rows, "
        "and under it in 1."
    )
    assert differing(found)[0] == told.words
    assert leads([row(verified=None)]) is None
    one = leads([row()])
    assert one is not None and one.ci95 is None and "(mean of 1 study)" in one.words


LONGER = (
    LongerSlopes(4.0, 8, 3, (0.8, -0.3, -0.5), ((-0.1, 1.7), (-1.2, 0.6), (-1.4, 0.4))),
    LongerSlopes(16.0, 8, 3, (1.5, -0.9, -0.6), ((0.6, 2.4), (-1.7, -0.1), (-1.5, 0.3))),
)


def test_what_a_longer_training_does_is_a_part_of_a_row():
    found = (row("resnet_micro", longer=LONGER), row("vit_micro"))
    assert [one.seen for one in LONGER] == [(), ("depth", "width")]
    again = read_rows(rows_text(found))
    assert [r.longer for r in again] == [LONGER, ()]
    frame = Atlas(found).frame()
    assert frame.loc[0, "depth_16_times"] == 1.5 and frame.loc[0, "width_4_times_low"] == -1.2
    assert frame["depth_16_times"].isna().tolist() == [False, True]
    lines = markdown_atlas(found).splitlines()
    assert (
        "| resnet_micro | cifar10 | 2x | 16x | 8 x 3 | +1.5 (+0.6 to +2.4)* | -0.9 (-1.7 to -0.1)* "
        "| -0.6 (-1.5 to +0.3) |"
    ) in lines
    assert lines[-1].endswith("Not measured in 1 other row.")
    for text in (flat(render_atlas(found)), Atlas(found)._repr_html_()):
        assert "+1.5 (+0.6 to +2.4)*" in text and "Not measured in 1 other row." in text


def test_rows_without_longer_trainings_stay_valid_and_say_so():
    values = row_to_dict(row())
    del values["longer"]
    old = row_from_dict(values)
    assert old.longer == ()
    assert markdown_atlas([old]).splitlines()[-1] == (
        "Whether a longer training would move these optima was not measured in any row."
    )
    assert "was not measured in any row" in flat(render_atlas([old]))


def test_a_row_has_what_verify_found_by_longer_trainings():
    result = study(networks=12, seeds=3)
    budget = result.budgets[0]
    slopes, intervals = dict.fromkeys(DIMENSIONS, 0.5), dict.fromkeys(DIMENSIONS, (0.1, 0.9))
    changes = (
        RankChange(4.0, 12, 3, slopes, intervals, (), None),
        RankChange(16.0, 3, 3, {}, {}, (), None),  # too few networks: nothing is told
    )
    proof = dataclasses.replace(budget.proof, fidelity=Fidelity("2x", (), changes, None))
    found = row_of(result, dataclasses.replace(budget, proof=proof), "atlas", "fashion-mnist")
    assert found.longer == (LongerSlopes(4.0, 12, 3, (0.5,) * 3, ((0.1, 0.9),) * 3),)


def test_rows_of_two_machines_are_one_atlas():
    """The later rows win where both have a cell; the order is the definition's."""
    definition = read_atlas("atlas")
    here, there = row(budget="2x"), row(budget="2x", noise=0.5)
    other, strange = row(family="efficientnet_micro", budget="4x"), row(family="mine", budget="2x")
    found = joined([here], [strange, there, other], definition)
    assert found == (other, here, strange)
    assert joined((), [there], definition) == (there,)
