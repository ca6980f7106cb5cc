"""Which networks are trained in full, with which recipe: the found network at each phi, references, and ablations."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from scalesearch.analysis.found import best_of, chosen_budget, studied_baseline, studied_question
from scalesearch.analysis.result import BudgetResult, StudyResult
from scalesearch.errors import StudyError
from scalesearch.networks.base import Baseline, Task
from scalesearch.networks.spec import NetworkSpec, spec_to_dict
from scalesearch.scaling.coefficients import REFERENCES
from scalesearch.scaling.questions.family import scale_family
from scalesearch.study.record import NetworkRecord
from scalesearch.training.full.ablation import ablated, check_part
from scalesearch.training.full.of_study import STUDY, at_rate
from scalesearch.training.full.planned import Planned
from scalesearch.training.full.recipe import TrainRecipe, recipe_key, without
from scalesearch.training.full.request import AGAINST, ALL, TrainRequest


@dataclass(frozen=True)
class _Network:
    """A network before the recipe is known.

    Attributes:
        rate: at which the study trains it, where networks have their own; None where one rate serves all.
        near: whether no network is the reference of that name, and this one, the nearest, stands for it.
    """

    label: str
    phi: float | None
    roles: tuple[str, ...]
    spec: NetworkSpec
    rate: float | None = None
    near: bool = False


def plan(result: StudyResult, ask: TrainRequest, fingerprints: Sequence[str], trainings: Path) -> tuple[Planned, ...]:
    """Every network of a question, the found one first; a network that has two names is trained once.

    Args:
        fingerprints: of the training and validation images, then those that earlier versions of this package gave
            them: a training that was begun under one of these goes on.
        trainings: the study's folder of trainings.

    Raises:
        UnknownNameError: a budget, a reference or a part that does not exist.
        StudyError: no best network yet, a reference that the budget does not have, a baseline that has changed.
        ConfigError: a part that recipe or network do not have.
        InfeasibleError: a phi whose network is too large or too small.
    """
    chosen = chosen_budget(result, ask.budget)
    best = best_of(result, chosen).network
    known = studied_baseline(result)
    found: dict[NetworkSpec, _Network] = {}
    unscaled = known[0].spec
    for network in (*_scaled(result, chosen, unscaled, ask.phis), *_references(result, chosen, unscaled, ask.against)):
        found.setdefault(network.spec, network)
    networks = list(found.values())
    found_at = result.recipe_of(best).learning_rate
    own = ask.source == STUDY and ask.recipe.learning_rate == found_at  # another rate was asked for: it is for all
    full = [(n, "", at_rate(ask.recipe, n.rate) if own and n.rate else ask.recipe) for n in networks]
    ablated = [(networks[0], part, without(ask.recipe, part)) for part in dict.fromkeys(ask.ablate)]
    return tuple(_planned(known, chosen, given, fingerprints, trainings) for given in (*full, *ablated))


def _rate(result: StudyResult, network: NetworkRecord | None) -> float | None:
    """A network's own rate; None where one rate serves all, or nothing is known of the network."""
    return result.rates.of(network) if result.rates and result.rates.own and network else None


def _baseline(result: StudyResult) -> NetworkRecord | None:
    return result.baseline.network if result.baseline else None


def _scaled(
    result: StudyResult, chosen: BudgetResult, unscaled: NetworkSpec, phis: Sequence[float]
) -> Iterator[_Network]:
    best = best_of(result, chosen).network
    for phi in phis:
        if phi == 0:
            yield _Network("baseline", 0.0, ("baseline",), unscaled, _rate(result, _baseline(result)))
        elif phi == 1:
            yield _Network("phi 1", 1.0, best.roles, best.spec, _rate(result, best))
        else:
            member = scale_family(studied_question(result, chosen.facts.text), (phi,)).members[0]
            if not member.within_tolerance:
                raise StudyError(
                    f"phi {phi:g} of study {result.manifest.study!r} misses its target "
                    f"({member.cost / member.target:.3f} of it): such a network is not trained; allowed: another phi"
                )
            rate = _rate(result, replace(best, target=member.target))
            yield _Network(f"phi {phi:g}", phi, (), member.network.spec, rate)


def _references(
    result: StudyResult, chosen: BudgetResult, unscaled: NetworkSpec, names: Sequence[str]
) -> Iterator[_Network]:
    by_role = {
        role: one.network for one in chosen.networks for role in one.network.roles if one.network.within_tolerance
    }
    for name in AGAINST if ALL in names else names:
        if name == "baseline":
            yield _Network(name, 0.0, (name,), unscaled, _rate(result, _baseline(result)))
        elif name in by_role:
            own = by_role[name]
            yield _Network(name, None, own.roles, own.spec, _rate(result, own), name in own.stands_for)
        elif ALL not in names:
            raise StudyError(
                f"study {result.manifest.study!r} has no network {name!r} on budget {chosen.facts.text}; "
                f"allowed there: baseline, {', '.join(role for role in REFERENCES if role in by_role)}"
            )


def _planned(
    known: tuple[Baseline, Task],
    chosen: BudgetResult,
    given: tuple[_Network, str, TrainRecipe],
    fingerprints: Sequence[str],
    trainings: Path,
) -> Planned:
    (whole, task), (network, part, recipe) = known, given
    check_part(whole, part)
    baseline = ablated(whole, recipe)
    label = f"{network.label} without {part}" if part else network.label
    macs, params = (baseline.amount(name, network.spec, task) for name in ("macs", "params"))
    made_by = [whole.name, whole.identity(), spec_to_dict(network.spec), network.phi, recipe_key(recipe)]
    keys = [[*made_by, *told, fingerprint] for told in _imports(whole) for fingerprint in fingerprints]
    folders = [trainings / _folder_name(label, key) for key in keys]
    folder = next((folder for folder in folders if folder.is_dir()), folders[0])
    told = f"near {label}" if network.near else label
    return Planned(
        told, part, network.phi, network.roles, chosen.facts.text, baseline, task, network.spec, macs, params, recipe,
        folder,
    )  # fmt: skip


def _folder_name(label: str, key: Sequence[Any]) -> str:
    """The label and ten digits of everything that the training is made by."""
    short = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:10]
    return f"{re.sub(r'[^A-Za-z0-9.-]+', '-', label)}-{short}"


def _imports(baseline: Baseline) -> Iterator[list[Mapping[str, str]]]:
    """What a user's code imports, as part of a key; then nothing, as in trainings from before it was seen."""
    if imported := baseline.imported():
        yield [imported]
    yield []
