"""What `verify` will train: which networks, on which seeds, by which recipe. Nothing is trained or written here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from scalesearch.analysis.answer.next_step import SEEDS, TOP
from scalesearch.analysis.response.surface import NoSurface
from scalesearch.analysis.result import BudgetResult, StudyResult
from scalesearch.errors import StudyError, UsageError, choice_error
from scalesearch.scaling.realize import BudgetSurface, check_ratio, realize
from scalesearch.search.prepare import Prepared, first_seed
from scalesearch.search.records import Proposed, network_record
from scalesearch.search.spaces import BudgetSpace
from scalesearch.search.verify.stages import StagePlan
from scalesearch.study.config import run_command
from scalesearch.study.record import NetworkRecord
from scalesearch.study.record.evidence import EvidenceStage, Split

VERIFY_OFFSET = 5_000
"""Seeds of verification begin so far behind the first of the search."""

RATES = (0.5, 2.0)
"""Learning rates of the fidelity check, over the study's own."""


MOST = 10_000
"""Seeds, as a study's."""
MOST_COMPARED = 200
"""Leaders at once: of more, hardly one could be told from the others by a test that holds for all together."""


@dataclass(frozen=True, slots=True)
class VerifyRequest:
    """What is to be verified.

    Attributes:
        budget: one budget of the study; None takes all.
        top: leaders of the search that are trained again.
        seeds: new trainings of each network.
        first_seed: of them; None takes the first that the search cannot have used.
        phis: compound coefficients at which the transfer is checked.
        fidelity: whether the proxy itself is checked.
        rates: whether what is compared is trained at half and twice its learning rate too; None: where the study
            measured its rate, and with `fidelity`.
        longer: epochs of the longer proxy over the study's.
    """

    budget: str | None = None
    top: int = TOP
    seeds: int = SEEDS
    first_seed: int | None = None
    phis: tuple[float, ...] = ()
    fidelity: bool = False
    rates: bool | None = None
    longer: float = 4.0

    def __post_init__(self) -> None:
        for name, value, most in (("top", self.top, MOST_COMPARED), ("seeds", self.seeds, MOST)):
            if not 1 <= value <= most:
                raise UsageError(f"--{name} is {value}; allowed: 1 to {most}")
        if self.first_seed is not None and not 0 <= self.first_seed < 2**31:
            raise UsageError(f"--first-seed is {self.first_seed}; allowed: 0 to {2**31 - 1}")
        if not 1 < self.longer <= 1000:
            raise UsageError(f"--longer is {self.longer:g}; allowed: above 1, at most 1000 times the study's epochs")
        wrong = [phi for phi in self.phis if not 1 < phi <= 20]
        if wrong:
            raise UsageError(f"--phi {wrong[0]:g} cannot be checked; allowed: above 1 (what was searched), at most 20")


def chosen_budgets(result: StudyResult, budget: str | None) -> list[BudgetResult]:
    """The budgets that can be verified.

    Raises:
        UnknownNameError: the study does not have it.
        StudyError: nothing to compare on it, with what to run next.
    """
    name = result.manifest.study
    texts = [b.facts.text for b in result.budgets]
    if budget is not None and budget not in texts:
        raise choice_error("budget", budget, texts)
    asked = [b for b in result.budgets if budget in (None, b.facts.text)]
    if not any(s.ranked for b in asked for s in b.networks):
        raise StudyError(
            f"study {name!r} has no network with a finished training{f' at {budget}' if budget else ''}: "
            f"go on with it first, by: scalesearch resume {name}"
        )
    found = [b for b in asked if sum(s.ranked for s in b.networks) > 1]
    if not found:
        config = result.manifest.config
        more = run_command(config, name, trials=max(8, config.trials))
        raise StudyError(
            f"study {name!r} has one network on each budget, and nothing to compare it with; "
            f"allowed: a study of two networks or more, such as {more}"
        )
    return found


def new_seeds(result: StudyResult, used: Iterable[int], ask: VerifyRequest) -> tuple[int, ...]:
    """The seeds of verification.

    Raises:
        UsageError: the search has used some of them: they would carry the winner's luck over.
    """
    used = set(used)
    first = (
        ask.first_seed
        if ask.first_seed is not None
        else max([first_seed(result.manifest.config) + VERIFY_OFFSET, *(s + 1 for s in used)])
    )
    seeds = tuple(range(first, first + ask.seeds))
    if both := sorted(used & set(seeds)):
        shown = ", ".join(map(str, both[:5])) + (", ..." if len(both) > 5 else "")
        raise UsageError(
            f"seeds {seeds[0]} to {seeds[-1]} were asked for, and the search has used {shown}: the winner was chosen "
            f"on them; allowed: --first-seed {max(used) + 1} or more, or none"
        )
    return seeds


def leaders(budget: BudgetResult, top: int) -> list[NetworkRecord]:
    """The first networks of the search, best first, and the one that the response surface puts first."""
    ranked = sorted((s for s in budget.networks if s.rank is not None), key=lambda s: s.rank or 0)
    surface = budget.surface
    pooled = None if isinstance(surface, NoSurface) else surface.optimum.best
    return [s.network for s in ranked[:top]] + [s.network for s in ranked[top:] if s.network.number == pooled]


def _contenders(budget: BudgetResult, top: int) -> list[NetworkRecord]:
    """Leaders and references, each once."""
    references = [s.network for _, s in budget.references if s.ranked]
    return list({n.number: n for n in (*leaders(budget, top), *references)}.values())


def verify_plan(
    result: StudyResult,
    budget: BudgetResult,
    ask: VerifyRequest,
    seeds: Sequence[int],
    split: Split,
    prepared: Prepared,
) -> StagePlan:
    """Leaders, references and the baseline again, on new seeds."""
    networks = _contenders(budget, ask.top)
    if result.baseline and result.baseline.ranked:
        networks.append(result.baseline.network)
    stage = EvidenceStage("verify", budget.facts.text, 1.0, split)
    return StagePlan(stage, tuple(networks), tuple(seeds), prepared.recipe)


def transfer_plan(
    prepared: Prepared, budget: BudgetResult, ask: VerifyRequest, phi: float, seeds: Sequence[int], split: Split
) -> StagePlan:
    """What the coefficients of leaders and references give at phi, each on its own target there."""
    space = next(s for s in prepared.budgets if s.text == budget.facts.text)
    surface = _larger(prepared, space, phi)
    networks = [_member(prepared, surface, network, phi) for network in _contenders(budget, ask.top)]
    on_budget = tuple(network for network in networks if network.trainable)
    return StagePlan(EvidenceStage("transfer", space.text, phi, split), on_budget, tuple(seeds), prepared.recipe)


def _larger(prepared: Prepared, space: BudgetSpace, phi: float) -> BudgetSurface:
    meter, ratio = prepared.meter, space.surface.ratio**phi
    check_ratio(prepared.baseline, ratio, f"--phi {phi:g} of {space.text}")
    target = meter.settled(prepared.baseline.spec) * ratio
    return BudgetSurface(meter, target, ratio, space.surface.tolerance, space.surface.exponents)


def _member(prepared: Prepared, surface: BudgetSurface, network: NetworkRecord, phi: float) -> NetworkRecord:
    candidate, budget = realize(surface, network.coefficients.at(phi)), f"{surface.ratio:g}x"
    proposed = Proposed(budget, network.roles, network.shares, candidate, surface.tolerance, network.stands_for)
    return network_record(prepared, network.number, proposed)


def longer_plan(
    prepared: Prepared, budget: BudgetResult, ask: VerifyRequest, seeds: Sequence[int], split: Split
) -> StagePlan:
    """The networks of `verify_plan` by a longer proxy, on the same seeds and images.

    On the seeds of the search its leaders were lucky: a longer training would take that luck from them, and would seem
    to think less of whatever they spend their cost on.
    """
    recipe = prepared.recipe
    longer = replace(recipe, epochs=max(recipe.epochs + 1, round(recipe.epochs * ask.longer)))
    stage = EvidenceStage("longer", budget.facts.text, longer.epochs / recipe.epochs, split)
    return StagePlan(stage, tuple(_contenders(budget, ask.top)), tuple(seeds), longer)


def rate_plans(prepared: Prepared, budget: BudgetResult, top: int, have: frozenset[tuple[int, int]]) -> list[StagePlan]:
    """Leaders and references at their own rates, as far as the search has them not, and at half and twice.

    All on the search's seeds. With one leader these are the networks of a claim.
    """
    networks = _contenders(budget, top)
    recipe, first, text = prepared.recipe, first_seed(prepared.config), budget.facts.text
    seeds = tuple(range(first, first + max(2, prepared.config.seeds)))
    plans = [StagePlan(EvidenceStage("rate", text, 1.0, "validation"), tuple(networks), seeds, recipe, have)]
    for times in RATES:
        changed = replace(recipe, learning_rate=recipe.learning_rate * times)
        plans.append(StagePlan(EvidenceStage("rate", text, times, "validation"), tuple(networks), seeds, changed))
    return plans
