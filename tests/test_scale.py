"""`scalesearch scale`: exact members, where every block comes from, and which phi the released networks are."""

from __future__ import annotations

import itertools
import json
import math

import pytest
from rich.console import Console
from synthetic import BASELINE, manifest_of, study
from synthetic import Plan as SyntheticPlan

from scalesearch.cli import invoke
from scalesearch.errors import InfeasibleError, UnknownNameError, UsageError
from scalesearch.networks.base import Baseline, Task
from scalesearch.networks.families.efficientnet import MEMBERS, efficientnet_b
from scalesearch.networks.registry import BASELINES, get_baseline
from scalesearch.networks.spec import NetworkSpec, share_blocks, spec_to_dict
from scalesearch.report.family import render_family
from scalesearch.scaling.answers.family import block_order, explain, family_to_dict, growth
from scalesearch.scaling.coefficients import EFFICIENTNET, Coefficients
from scalesearch.scaling.cost import count
from scalesearch.scaling.questions.family import ScalingRequest, parse_phis, released_family, scale_family, with_rule
from scalesearch.study import StudyPaths, create_folder

B0 = efficientnet_b(0)
B0_MACS = 385_814_752


def family_of(phis="0..2", name="efficientnet_b0", coefficients=EFFICIENTNET, rounding="proportional", **changes):
    baseline = with_rule(get_baseline(name), rounding)
    return scale_family(ScalingRequest(baseline, baseline.task, coefficients, "as given", **changes), parse_phis(phis))


def shown(renderable: object, width: int = 120) -> str:
    console = Console(width=width, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


@pytest.fixture
def call(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SCALESEARCH_STUDIES", raising=False)
    monkeypatch.setenv("COLUMNS", "160")

    def called(*arguments: object) -> tuple[int, str, str]:
        code = invoke(["scale", *map(str, arguments)])
        return (code, *capsys.readouterr())

    return called


def is_one_line(err: str, *parts: str) -> None:
    assert err.startswith("scalesearch: error: ")
    assert err.count("\n") == 1
    assert [part for part in parts if part not in err] == []


@pytest.mark.parametrize(
    ("text", "phis"),
    [
        ("0..7", (0, 1, 2, 3, 4, 5, 6, 7)),
        ("0,1,2", (0, 1, 2)),
        ("0.5", (0.5,)),
        ("2, 0.5 ,2", (2, 0.5)),
        ("0..2,1..3", (0, 1, 2, 3)),
        ("-1..1", (-1, 0, 1)),
        ("1e1", (10,)),
        ("0..49", tuple(range(50))),
    ],
)
def test_phis_are_read_in_order_each_one_once(text, phis):
    assert parse_phis(text) == phis
    assert all(math.copysign(1, phi) == 1 for phi in parse_phis("-0,0"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "''"), ("x", "'x'"), ("nan", "'nan'"), ("inf", "'inf'"), ("0,,1", "'0,,1'"), ("0..", "'0..'"),
        ("0...3", "'0...3'"), ("0.5..2", "'0.5..2'"), ("3..1", "'3..1' goes down"), ("0..50", "51 members"),
        ("0..9999999999999", "50 or fewer"), (",".join(str(i) for i in range(51)), "51 members"),
    ],
)  # fmt: skip
def test_what_is_no_phi_is_quoted(text, said):
    with pytest.raises(UsageError) as caught:
        parse_phis(text)
    assert said in str(caught.value)
    assert "allowed: " in str(caught.value)


def test_the_members_of_b0_are_exact():
    family = family_of("0..2")
    zero, one, two = family.members
    assert (zero.network.spec, zero.target, zero.network.macs, zero.residual) == (B0.spec, B0_MACS, B0_MACS, 0.0)
    assert one.network.spec == NetworkSpec(
        (1, 2, 2, 4, 4, 5, 1), (16, 24, 48, 96, 128, 216, 352), 256, stem_width=32, head_width=1424
    )
    assert round(one.target) == round(B0_MACS * 1.2 * 1.1**2 * 1.15**2) == 740_868_494
    assert (one.cost_before_repair, one.network.macs) == (687_240_576, 743_920_832)
    assert two.network.spec.depths == (2, 3, 3, 4, 4, 6, 1)
    assert (two.network.spec.resolution_px, round(two.target)) == (296, 1_422_667_543)
    assert (two.cost_before_repair, two.network.macs) == (1_501_691_952, 1_416_183_792)
    assert [member.extrapolated for member in family.members] == [False, False, True]


def test_a_member_is_what_fvcore_counts():
    (one,) = family_of("1").members
    found = count(B0, one.network.spec, B0.task)
    sized = one.network
    assert (sized.macs, sized.fvcore_total, sized.params, sized.activations) == (
        found.macs, found.fvcore_total, found.params, found.activations,
    )  # fmt: skip
    assert sized.stages == tuple((stage.name, stage.macs) for stage in found.stages)


def test_every_member_meets_its_own_target():
    members = family_of("0..7").members
    assert all(abs(m.residual) <= 0.005 and m.within_tolerance for m in members)
    assert [m.network.spec.resolution_px for m in members] == [224, 256, 296, 344, 392, 448, 520, 592]
    assert [round(m.target / B0_MACS, 2) for m in members] == [1, 1.92, 3.69, 7.08, 13.6, 26.11, 50.14, 96.28]


@pytest.mark.parametrize(("phi", "index"), [("0.5", 1), ("1", 2), ("1.8", 3), ("3.2", 4)])
def test_the_official_rule_gives_the_released_depths_where_alpha_is_near_theirs(phi, index):
    (member,) = family_of(phi, rounding="official").members
    assert member.network.spec.depths == efficientnet_b(index).spec.depths


def test_the_released_networks_are_no_one_phi():
    released = {r.name: r for r in released_family()}
    assert len(released) == len(MEMBERS) == 8
    b1, b2, b7 = (released[f"efficientnet_b{i}"] for i in (1, 2, 7))
    assert (b1.macs, b2.macs, b7.macs, b7.params) == (686_802_832, 993_561_872, 37_745_884_192, 66_347_960)
    assert (b1.phi, b1.phi_depth, b1.phi_width, b1.phi_resolution) == pytest.approx(
        (0.884, 0.523, 0.0, 0.494), abs=1e-3
    )
    assert (b2.phi_depth, b2.phi_width) == (1.0, 1.0)
    assert (b7.phi, b7.phi_depth, b7.phi_width, b7.phi_resolution) == pytest.approx(
        (7.025, 6.206, 7.273, 7.05), abs=1e-3
    )
    assert (b7.multipliers.alpha, b7.depth) == (pytest.approx(3.599, abs=1e-3), 3.1)
    assert family_of("1", "efficientnet_micro").released == ()


@pytest.mark.parametrize("rounding", ["proportional", "official", "round"])
@pytest.mark.parametrize("name", ["efficientnet_b0", "efficientnet_micro"])
def test_what_was_added_sums_to_the_difference(name, rounding):
    family = family_of("0..3", name, rounding=rounding)
    own = family.baseline
    for member in family.members:
        stages = growth(own, member)
        assert sum(s.added_blocks for s in stages) == sum(member.network.spec.depths) - sum(own.spec.depths)
        assert sum(s.added_macs for s in stages) == member.network.macs - own.macs
        assert [s.stage for s in stages] == ["stem", *map(str, range(len(own.spec.depths))), "head"]


def test_every_family_can_be_scaled_and_explained():
    for name in BASELINES:
        family = family_of("0,1", name)
        zero, one = family.members
        assert zero.network.spec == family.baseline.spec
        assert one.network.macs == pytest.approx(one.target, rel=0.02)
        stages = growth(family.baseline, one)
        assert sum(s.added_blocks for s in stages) == sum(one.network.spec.depths) - sum(family.baseline.spec.depths)
        assert sum(s.added_macs for s in stages) == one.network.macs - family.baseline.macs


def test_the_words_name_the_rule_and_the_fractions():
    official = family_of("1", rounding="official")
    words = explain(official, official.members[0])
    assert "stage 3: 1.2 x 3 = 3.6 -> 4" in words
    assert "rounded up (rule official)" in words[0]
    assert "resolution: 1.15 x 224 = 257.6 -> 256 px (whole steps of 8 px from 224)" in words
    assert (
        words[-1] == "width: 1.1 x the channels, rounded, misses the target by +16.1 %; fitted to the target: +0.28 %"
    )
    nearest = family_of("1", rounding="round")
    assert "stage 1: 1.2 x 2 = 2.4 -> 2" in explain(nearest, nearest.members[0])
    shared = family_of("0,1")
    zero, one = shared.members
    assert explain(shared, zero) == ("this is the baseline itself",)
    first, second, *_ = explain(shared, one)
    assert first.startswith("depth: 1.2 x 16 = 19.2 -> 19 blocks in all, shared")
    assert second.endswith("are most: stage 5, 3, 4")


def test_fewer_blocks_are_said():
    family = family_of("1", coefficients=Coefficients(0.8, 1.0, 1.0))
    (member,) = family.members
    assert "3 fewer, at least one a stage" in explain(family, member)


def test_the_order_of_blocks_is_that_of_webster():
    base = (1, 2, 2, 3, 3, 4, 1)
    for total in range(16, 60):
        order = block_order(base, share_blocks(base, total))
        steps = [share_blocks(base, n) for n in range(16, total + 1)]
        given = [next(i for i in range(7) if b[i] != a[i]) for a, b in itertools.pairwise(steps)]
        assert list(order) == given


def test_larger_than_the_search_is_extrapolated_even_at_phi_one():
    assert [m.extrapolated for m in family_of("0,0.5,1", largest=600_000_000).members] == [False, False, True]
    assert [m.extrapolated for m in family_of("-1,0,1", largest=740_000_000).members] == [True, False, False]


@pytest.mark.parametrize(
    ("phis", "coefficients", "said"),
    [
        ("15", EFFICIENTNET, "phi 15 has 1.78e+04x the cost of efficientnet_b0; allowed: 10,000x or less"),
        ("0,1e6", EFFICIENTNET, "phi 1e+06 has 10^283362x the cost"),
        ("20", Coefficients(2.0, 1.0, 2**-0.5), "1.05e+06x the depth"),
        ("-20", Coefficients(1.0, 0.5, 2.0), "1.05e+06x the width"),
        ("-20", EFFICIENTNET, "under the smallest efficientnet_b0"),
    ],
)  # fmt: skip
def test_what_cannot_be_made_is_one_message(phis, coefficients, said):
    with pytest.raises(InfeasibleError) as caught:
        family_of(phis, coefficients=coefficients)
    assert said in str(caught.value)


def test_an_unknown_rule_is_refused():
    with pytest.raises(UnknownNameError, match="'up'"):
        with_rule(B0, "up")


class Unknown(Baseline):
    """A network whose cost nobody wrote down."""

    def build(self, spec, task, **rates):
        return BASELINE.build(spec, task, **rates)

    def amount(self, quantity, spec, task):
        return BASELINE.amount(quantity, spec, task)


def test_a_network_without_a_closed_form_has_no_costs_by_stage(monkeypatch):
    mine = Unknown("mine", BASELINE.spec, BASELINE.rules, BASELINE.task, None)
    monkeypatch.setitem(BASELINES, "mine", lambda: mine)
    family, known = family_of("0.1", "mine"), family_of("0.1", "efficientnet_micro")
    (member,) = family.members
    assert member.network.fvcore_total is None
    assert member.network.macs == mine.macs(member.network.spec, mine.task)
    assert family.baseline.params == known.baseline.params == 62_084
    stages = growth(family.baseline, member)
    assert [stage.macs for stage in stages] == [None] * 6
    assert sum(s.added_blocks for s in stages) == sum(member.network.spec.depths) - 9
    assert "–" in shown(render_family(family, explained=True))


def test_json_says_everything(call):
    code, out, err = call("efficientnet_b0", "--phi", "0..2", "--json", "--explain")
    found = json.loads(out, parse_constant=pytest.fail)
    assert (code, err) == (0, "")
    assert set(found) == {"base", "coefficients", "currency", "ratio", "rounding", "baseline", "members", "released"}
    assert found["coefficients"] == {
        "alpha": 1.2, "beta": 1.1, "gamma": 1.15, "origin": "none were given, so these are EfficientNet's",
    }  # fmt: skip
    one = found["members"][1]
    assert set(one) == {
        "phi", "alpha", "beta", "gamma", "target_macs", "macs", "macs_before_repair", "cost_before_repair",
        "currency", "target", "cost", "residual", "within_tolerance",
        "extrapolated", "transfer", "params", "activations", "fvcore_total", "network", "explanation",
    }  # fmt: skip
    assert (one["phi"], one["alpha"], one["macs"], one["extrapolated"]) == (1.0, 1.2, 743_920_832, False)
    assert one["network"]["depths"] == [1, 2, 2, 4, 4, 5, 1]
    assert found["members"][2]["extrapolated"] is True
    assert sum(stage["added_blocks"] for stage in one["explanation"]["stages"]) == 3
    assert sum(stage["added_macs"] for stage in one["explanation"]["stages"]) == 743_920_832 - B0_MACS
    assert len(found["released"]) == 8
    assert set(found["released"][7]) == {
        "name", "depth", "width", "resolution_px", "macs", "params", "phi", "phi_depth", "phi_width", "phi_resolution",
        "alpha_at_phi", "beta_at_phi", "gamma_at_phi",
    }  # fmt: skip
    assert "explanation" not in family_to_dict(family_of("1"))["members"][0]


def test_given_coefficients_are_taken_and_the_others_are_one(call):
    found = json.loads(call("efficientnet_micro", "--alpha", "2", "--phi", "1", "--json")[1])
    assert found["coefficients"] == {"alpha": 2.0, "beta": 1.0, "gamma": 1.0, "origin": "as given"}
    assert sum(found["members"][0]["network"]["depths"]) == 18
    assert found["released"] == []


@pytest.mark.parametrize("width", [80, 100, 120])
def test_the_tables_fit_and_lose_nothing(width):
    text = shown(render_family(family_of("0..7"), explained=True), width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    assert text.count("extrapolated") == 6
    for part in ("4 7 7 11 11 14 3", "64 32 48 80 160 224 384 648 2584", "37.1G", "320 -> 648", "b7", "7.27"):
        assert part in text
    assert "No one phi gives a network's three multipliers" in " ".join(text.split())


@pytest.fixture
def studied(tmp_path, monkeypatch):
    """A function that makes a study whose trainings are synthetic."""

    def made(name: str = "mine", **changes: object) -> None:
        plan = SyntheticPlan(name=name, **changes)
        create_folder(StudyPaths(tmp_path / "studies" / name), manifest_of(plan))
        monkeypatch.setattr("scalesearch.analysis.load.load_result", lambda paths: study(name=name, **changes))

    return made


def test_a_study_gives_coefficients_baseline_and_task(call, studied):
    studied(budgets=("2x", "4x"))
    best = [budget.best for budget in study(budgets=("2x", "4x")).budgets]
    for asked, expected in ((), best[0]), (("--budget", "4x"), best[1]):
        code, out, err = call("mine", *asked, "--phi", "0..2", "--json")
        found = json.loads(out)
        assert (code, err) == (0, "")
        c = expected.network.coefficients
        assert found["coefficients"]["alpha"] == c.alpha
        assert found["coefficients"]["origin"] == f"the best network at {expected.network.budget} of study mine"
        assert (found["base"], found["baseline"]["macs"]) == ("efficientnet_micro", 569_856)
        assert found["members"][1]["network"]["depths"] == list(expected.network.spec.depths)
        assert [member["extrapolated"] for member in found["members"]] == [False, False, True]


def test_a_study_can_lend_its_baseline_to_other_coefficients(call, studied):
    studied()
    found = json.loads(call("mine", "--alpha", "4", "--phi", "1", "--json")[1])
    assert found["coefficients"]["origin"] == "as given"
    assert found["members"][0]["extrapolated"] is True


def test_a_baseline_goes_before_a_study_of_its_name(call, studied):
    studied("efficientnet_b0")
    assert json.loads(call("efficientnet_b0", "--phi", "1", "--json")[1])["baseline"]["macs"] == B0_MACS


def test_an_unfinished_study_says_so(call, studied):
    studied(trained=0.5)
    assert "of study mine, which is not finished" in call("mine", "--phi", "1")[1]


def test_a_study_without_a_best_network_is_one_line(call, studied):
    studied(trained=0.0)
    code, out, err = call("mine")
    is_one_line(err, "study 'mine' has no best network on budget 2x yet", "resume it first")
    assert (code, out) == (1, "")


def test_a_baseline_that_has_changed_is_one_line(call, studied, monkeypatch):
    studied()
    other = get_baseline("efficientnet_b0")
    monkeypatch.setitem(BASELINES, "efficientnet_micro", lambda: other)
    code, out, err = call("mine")
    is_one_line(err, "when study 'mine' was made", "569,856", "start a new study")
    assert (code, out) == (1, "")
    assert other.macs(other.spec, Task(10, 1)) != 569_856


@pytest.mark.parametrize(
    ("code", "arguments", "said"),
    [
        (2, ("efficientnet_b9",), ("baseline or study 'efficientnet_b9'", "did you mean 'efficientnet_b", "timm:NAME")),
        (2, ("mime",), ("'mime'", "did you mean 'mine'")),
        (2, ("efficientnet_b0", "--budget", "2x"), ("--budget 2x is for a study", "use --phi")),
        (2, ("mine", "--budget", "8x"), ("'8x'", "2x")),
        (2, ("efficientnet_b0", "--phi", "x"), ("'x'", "0..7")),
        (2, ("efficientnet_b0", "--rounding", "up"), ("'up'", "proportional")),
        (2, ("efficientnet_b0", "--alpha", "0"), ("alpha is 0.0", "above 0")),
        (2, ("efficientnet_b0", "--gamma", "nan"), ("gamma is nan",)),
        (1, ("efficientnet_b0", "--phi", "15"), ("phi 15", "10,000x or less")),
    ],
)
def test_a_mistake_is_one_line(call, studied, code, arguments, said):
    studied()
    found, out, err = call(*arguments)
    is_one_line(err, *said)
    assert (found, out) == (code, "")


@pytest.mark.parametrize("changes", [{"cost": "params"}, {"cost": "activations"}, {"exponents": "measured"}])
def test_phi_1_of_a_study_is_its_best_network_whatever_it_counts(tmp_path, monkeypatch, call, changes):
    from fake_executor import World

    from scalesearch.search import run
    from scalesearch.study import StudyPaths
    from scalesearch.study.config import config_from_dict

    monkeypatch.chdir(tmp_path)
    quick = {"trials": 6, "seeds": 1, "workers": 1, "proxy": {"train_images": 20, "val_images": 20}}
    result = run(
        config_from_dict({**quick, **changes}), StudyPaths(tmp_path / "studies" / "s"), make_executor=World().executor
    )
    code, out, _ = call("s", "--phi", "0,1", "--json")
    found = json.loads(out)
    best, (zero, one) = result.budgets[0].best.network, found["members"]
    assert code == 0
    assert one["network"] == spec_to_dict(best.spec)
    assert (one["cost"], one["target"]) == (best.cost, pytest.approx(best.target))
    assert found["ratio"] == pytest.approx(2.0)
    assert zero["cost"] == result.manifest.baseline_cost
    assert not one["extrapolated"]
