"""Figures: legible, honest about what has no score, the same bytes every time, whatever the user's text holds."""

from __future__ import annotations

import itertools
import math
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from functools import cache

import pytest
from matplotlib import rc_context, rcParams
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Text
from synthetic import study
from synthetic_evidence import verified_study

from scalesearch.analysis.result import StudyResult
from scalesearch.errors import StorageError, StudyError, UnknownNameError, UsageError
from scalesearch.report.figures import FIGURES, figure, figures_of, pareto_info, save_figure, simplex_info, svg_text
from scalesearch.report.figures.curves import curves_info, spread
from scalesearch.report.figures.rates import draw_rates, rates_info
from scalesearch.report.figures.simplex import HEIGHT, at
from scalesearch.report.figures.style import literal_text
from scalesearch.scaling.coefficients import REFERENCES, Shares

KINDS = ("pareto", "simplex", "surface", "fidelity")
"""What every study with trainings has; a law has tests of its own, and a table of refusals the rest."""
HOSTILE = "folder:/data/$a$_x/<b>[red]\\frac{é漢字}\n" + "very/long/" * 20
CASES: dict[str, dict[str, object]] = {
    "typical": {},
    "three budgets": {"budgets": ("2x", "4x", "8x"), "networks": 17, "seeds": 3},
    "two budgets": {"budgets": ("2x", "800k"), "networks": 12},
    "one seed": {"seeds": 1, "networks": 21},
    "one network": {"networks": 1},
    "nothing trained": {"trained": 0.0},
    "unfinished": {"trained": 0.5},
    "failures": {"failed": True, "off_budget": True},
    "hostile text": {"base": "my.module:net$a$", "data": HOSTILE},
    "sixty networks": {"networks": 60},
    "smaller": {"budgets": ("0.5x",)},
    "smaller and larger": {"budgets": ("0.5x", "2x"), "networks": 12},
}
VERIFIED: dict[str, dict[str, object]] = {"verified": {}, "two verified": {"budgets": ("2x", "4x"), "networks": 9}}
REFUSED = {("one network", "surface"), ("one network", "fidelity"), *(("nothing trained", kind) for kind in KINDS)}
DRAWN = [
    *((name, kind) for name in CASES for kind in KINDS if (name, kind) not in REFUSED),
    *((name, kind) for name in VERIFIED for kind in ("curves", "rates", "verdict", "fidelity", "compare")),
    ("three budgets", "curves"), ("three budgets", "law"), ("one seed", "compare"), ("typical", "budget"),
    ("typical", "staircase"),
]  # fmt: skip


@cache
def case(name: str) -> StudyResult:
    return verified_study(**VERIFIED[name]) if name in VERIFIED else study(**CASES[name])


@cache
def drawn(name: str, kind: str) -> Figure:
    return figure(case(name), kind)


def texts(fig: Figure) -> list[Text]:
    """Every text that can be seen: tick labels only where their axis is drawn and shows their place."""
    fig.draw_without_rendering()
    axes = [axis for ax in fig.axes for axis in (ax.xaxis, ax.yaxis)]
    ticks = [(axis, tick) for axis in axes for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks())]
    hidden = {id(ax.xaxis.label) for ax in fig.axes if not ax.axison} | {id(a.offsetText) for a in axes}
    for axis, tick in ticks:
        low, high = sorted(axis.get_view_interval())
        if not axis.axes.axison or not low <= tick.get_loc() <= high:
            hidden |= {id(tick.label1), id(tick.label2)}
    found = [t for t in fig.findobj(Text) if isinstance(t, Text) and t.get_visible() and t.get_text().strip()]
    return [t for t in found if id(t) not in hidden]


def words(name: str, kind: str) -> str:
    return "\n".join(t.get_text() for t in texts(drawn(name, kind)))


@pytest.mark.parametrize(("name", "kind"), DRAWN)
def test_no_text_covers_another_or_leaves_the_figure(name, kind):
    fig = drawn(name, kind)
    renderer = FigureCanvasAgg(fig).get_renderer()
    shown = [(t.get_text(), t.get_window_extent(renderer)) for t in texts(fig)]
    width, height = fig.bbox.width, fig.bbox.height
    outside = [t for t, b in shown if b.x0 < -2 or b.y0 < -2 or b.x1 > width + 2 or b.y1 > height + 2]
    assert outside == []
    for (first, a), (second, b) in itertools.combinations(shown, 2):
        across = min(a.x1, b.x1) - max(a.x0, b.x0)
        along = min(a.y1, b.y1) - max(a.y0, b.y0)
        assert across < 2 or along < 3, f"{first!r} covers {second!r}"


@pytest.mark.parametrize("kind", KINDS)
def test_a_figure_is_about_1200_pixels_wide_at_100_dots_per_inch(kind, tmp_path):
    save_figure(drawn("typical", kind), tmp_path / "a.png")
    height, width = imread(tmp_path / "a.png").shape[:2]
    assert width == 1200
    assert 400 < height < 1000


def test_a_pdf_has_fonts_that_publishers_take(tmp_path):
    """TrueType, embedded: many refuse Type 3."""
    save_figure(drawn("typical", "simplex"), tmp_path / "a.pdf")
    content = (tmp_path / "a.pdf").read_bytes()
    assert b"/Subtype /Type0" in content and b"/FontFile2" in content and b"/Type3" not in content


@pytest.mark.parametrize("kind", ["law", "curves", "rates", "verdict", "fidelity", "compare", "pareto", "budget"])
def test_panels_are_named_in_the_house_style(kind):
    """A bold name over a quiet line, and no title of matplotlib's own."""
    fig = drawn("verified" if kind != "law" else "three budgets", kind)
    bold = [t for t in texts(fig) if t.get_fontweight() == "bold" and t.get_fontsize() == 11]
    assert bold and not any(ax.get_title(at).strip() for ax in fig.axes for at in ("left", "center", "right"))


def test_every_failed_training_of_a_rate_is_seen():
    """Marks of trainings that failed at one rate don't cover each other."""
    info = rates_info(case("verified"))
    tried = [
        replace(t, accuracy=None) if t.step == max(t.step for t in info.found.tried) else t for t in info.found.tried
    ]
    fig = draw_rates(replace(info, found=replace(info.found, tried=tuple(tried))))
    crosses = [xy for line in fig.axes[0].lines if line.get_marker() == "x" for xy in line.get_xydata().tolist()]
    (rate,) = {x for x, _ in crosses}
    assert rate > 0 and len(crosses) == 3
    places = sorted(fig.axes[0].transData.transform((x, y))[1] for x, y in crosses)
    assert all(b - a > 11 for a, b in itertools.pairwise(places))


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_same_study_gives_the_same_bytes(kind, suffix, tmp_path):
    save_figure(figure(case("typical"), kind), tmp_path / f"a.{suffix}")
    save_figure(figure(study(), kind), tmp_path / f"b.{suffix}")
    assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"a.{suffix}", f"b.{suffix}"]


def test_another_suffix_is_refused_with_the_list(tmp_path):
    with pytest.raises(UsageError, match=r"'\.jpg'; allowed: \.png, \.svg, \.pdf"):
        save_figure(drawn("typical", "simplex"), tmp_path / "figure.jpg")
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="cannot write"):
        save_figure(drawn("typical", "simplex"), tmp_path / "file" / "figure.png")


def test_an_unknown_kind_or_budget_names_the_choices():
    with pytest.raises(UnknownNameError, match="did you mean 'pareto'"):
        figure(case("typical"), "paretto")
    with pytest.raises(UnknownNameError, match="Allowed: 2x, 4x, 8x"):
        figure(case("three budgets"), "simplex", budget="3x")


def test_one_budget_of_three_shows_only_its_networks():
    info = pareto_info(case("three budgets"), "4x")
    assert [panel.budget for panel in info.panels] == ["4x"]
    assert max(cost for cost, _ in info.front) <= 1.02 * info.panels[0].target
    assert "8x" not in "".join(t.get_text() for t in texts(figure(case("three budgets"), "pareto", "4x")))


def test_a_network_without_a_score_is_listed_and_never_plotted():
    for info in (pareto_info(case("failures")), simplex_info(case("failures"))):
        problems = [mark.problem for mark in info.panels[0].marks if mark.percent is None]
        assert problems == ["diverged on 1 of 2 seeds", "off budget: 113.0 % of the target"]
        assert not any(mark.problem for mark in info.panels[0].scored)
    assert "diverged on 1 of 2 seeds" in words("failures", "pareto")
    assert "off budget: 113.0 % of the target" in words("failures", "pareto")


def test_the_ranked_panel_names_every_reference_and_its_multipliers():
    shown = words("typical", "pareto")
    for name in REFERENCES:
        assert name in shown
    assert "d 1.00 w 1.00 r 1.41" in shown
    assert "baseline" in shown


def test_references_stay_when_a_long_list_is_cut():
    shown = words("sixty networks", "pareto")
    assert "more not shown" in shown
    assert all(name in shown for name in REFERENCES)


def test_the_triangle_names_the_best_uniform_and_efficientnet():
    shown = words("typical", "simplex")
    best = next(mark for mark in simplex_info(case("typical")).panels[0].marks if mark.best)
    names = " = ".join(["ranked first", *(n for n in best.names if n in ("uniform", "efficientnet"))])
    assert f"{names}: {best.percent:.1f} %\n{best.label}" in shown
    assert "uniform: " in shown
    assert "efficientnet: " in shown


def test_corners_and_centre_of_the_triangle():
    assert at(Shares(1, 0, 0)) == (0.5, HEIGHT)
    assert at(Shares(0, 1, 0)) == (0, 0)
    assert at(Shares(0, 0, 1)) == (1, 0)
    x, y = at(REFERENCES["uniform"])
    assert math.isclose(x, 0.5)
    assert math.isclose(y, HEIGHT / 3)


def test_without_repeated_seeds_no_interval_is_drawn():
    info = pareto_info(case("one seed"))
    assert all(mark.interval is None for mark in info.scored)
    assert "seed noise not measured" in words("one seed", "pareto")


def test_the_caption_says_how_many_networks_seeds_and_how_much_noise():
    (budget,) = case("typical").budgets
    assert budget.reliability is not None
    noise = f"ICC {budget.reliability.icc:.2f}, seed sd {100 * budget.reliability.sd_seed:.2f} points"
    assert f"{len(budget.networks)} networks × 2 seeds; {noise}" in words("typical", "simplex")


@pytest.mark.parametrize("kind", FIGURES)
def test_a_study_without_a_training_is_refused_by_a_line_with_a_command(kind):
    if kind in ("staircase", "budget"):  # counting takes no training
        assert kind in figures_of(case("nothing trained"))
        return
    assert kind not in figures_of(case("nothing trained"))
    with pytest.raises(StudyError) as refused:
        figure(case("nothing trained"), kind)
    line = str(refused.value)
    assert "'synthetic'" in line
    assert "scalesearch " in line
    assert "\n" not in line


AGAIN = "scalesearch run --budget 2x --base efficientnet_micro --data fashion-mnist-mini"
HOSTILE = "'my.module:net$a$' --classes 10 --in-channels 1"


@pytest.mark.parametrize(
    ("name", "kind", "command"),
    [
        ("typical", "verdict", "scalesearch verify synthetic"),
        ("typical", "rates", f"{AGAIN} --epochs 4 --lr auto"),
        ("one network", "surface", f"{AGAIN} --trials 8 --epochs 4"),
        ("typical", "law", "scalesearch run --budget 0.5x,2x,4x"),
        ("hostile text", "staircase", f"scalesearch exponents {HOSTILE} --out staircase.png"),
        ("hostile text", "budget", f"scalesearch space {HOSTILE.replace(' ', ' -b 2x ', 1)} --out budget.png"),
    ],
)
def test_what_would_make_a_figure_is_said(name, kind, command):
    with pytest.raises(StudyError, match=re.escape(command)):
        figure(case(name), kind)
    assert kind not in figures_of(case(name))


def test_a_verified_study_has_every_figure_but_a_law():
    assert figures_of(case("verified")) == tuple(kind for kind in FIGURES if kind != "law")


def test_curves_are_the_means_over_seeds_epoch_by_epoch():
    (panel,) = curves_info(case("typical")).panels
    summaries = {s.network.number: s for s in case("typical").budgets[0].networks}
    best = panel.lines[-1]
    assert best.name.startswith("best")
    for line in panel.lines:
        assert [epoch for epoch, _ in line.points] == [1, 2, 3, 4]
        if line.number in summaries:  # planted: the last epoch is the accuracy of the training plus 0.05 - 0.2 / 4
            assert math.isclose(line.points[-1][1], 100 * (summaries[line.number].mean or 0))
            assert math.isclose(line.points[0][1], line.points[-1][1] - 15)


@pytest.mark.parametrize("places", [[], [3.0], [1.0, 1.0, 1.0], [5.0, 1.0, 4.9, 5.2], [0.0, 100.0, 1.0, 99.0]])
def test_names_are_moved_apart_in_their_order_about_their_middle(places):
    moved = spread(places, 2.0)
    gaps = [b - a for a, b in itertools.pairwise(sorted(moved))]
    assert all(gap >= 2.0 - 1e-9 for gap in gaps)
    assert math.isclose(sum(moved), sum(places), abs_tol=1e-9)
    assert [i for i, _ in sorted(enumerate(places), key=lambda p: p[1])] == [
        i for i, _ in sorted(enumerate(moved), key=lambda p: p[1])
    ]


LOUD = {
    "font.size": 31.0, "axes.facecolor": "red", "savefig.facecolor": "black", "savefig.bbox": "tight",
    "savefig.dpi": 30, "svg.hashsalt": "mine", "svg.fonttype": "path", "pdf.fonttype": 3, "pdf.compression": 0,
}  # fmt: skip
"""Settings of a user's that would change every format."""


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_a_figure_leaves_the_users_settings_alone(tmp_path, suffix):
    before = dict(rcParams)
    with rc_context(LOUD):
        inside = dict(rcParams)
        loud = figure(study(), "curves")
        save_figure(loud, tmp_path / f"a.{suffix}")
        assert dict(rcParams) == inside
    save_figure(figure(study(), "curves"), tmp_path / f"b.{suffix}")
    assert dict(rcParams) == before
    assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()


def test_an_unfinished_study_says_so_in_the_title():
    assert "(not finished)" in words("unfinished", "pareto")
    assert "(not finished)" not in words("typical", "pareto")


def test_user_text_is_shown_as_it_is_and_shortened():
    assert literal_text("a$b$") == r"a\$b\$"
    assert literal_text("漢\n") == "??"
    assert len(literal_text("x" * 500)) < 100


@pytest.mark.parametrize("name", ["typical", "hostile text"])
@pytest.mark.parametrize("kind", KINDS)
def test_inline_svg_is_small_well_formed_and_inert(kind, name):
    text = svg_text(drawn(name, kind), f"{kind} <of> the study")
    root = ET.fromstring(text)
    assert root.attrib["aria-label"] == f"{kind} <of> the study"
    assert "script" not in text.lower()
    assert len(text) < 90_000


def test_drawing_needs_no_window_system_and_no_torch():
    code = (
        "import sys, scalesearch.report.figures; print([m for m in ('matplotlib.pyplot', 'torch') if m in sys.modules])"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )
