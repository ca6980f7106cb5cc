"""Rows of the atlas from the studies that it is made of."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from scalesearch.analysis.answer.stand import verification_of
from scalesearch.analysis.atlas.row import (
    COARSE,
    PART,
    AtlasGain,
    AtlasNetwork,
    AtlasRow,
    LongerSlopes,
    Provenance,
    coarse,
)
from scalesearch.analysis.load import load_result
from scalesearch.analysis.response.observations import plane
from scalesearch.analysis.response.optimum import areas, chances, moments, region_of
from scalesearch.analysis.response.posterior import SurfacePosterior
from scalesearch.analysis.response.surface import ORDER
from scalesearch.analysis.result import BudgetResult, StudyResult, searched
from scalesearch.analysis.summary import NetworkSummary, with_role
from scalesearch.scaling.coefficients import Shares, simplex_lattice
from scalesearch.scaling.units import DIMENSIONS
from scalesearch.study import StudyPaths
from scalesearch.study.config.atlas import AtlasDefinition

DRAWS = 4000


def row_of(result: StudyResult, budget: BudgetResult, atlas: str, data: str) -> AtlasRow | None:
    """One row; None where the budget has too few trainings to tell a noise from, or no network.

    Args:
        atlas: name of the definition.
        data: name of the data set in it.
    """
    stand, best = budget.standings, budget.best
    if stand is None or best is None or not stand.repeats or best.network.shares is None:
        return None
    lattice = simplex_lattice(ORDER)
    process, rng = stand.process, np.random.default_rng(0)
    draws = process.draw(plane(lattice), DRAWS, rng)[:, : len(lattice)]  # the baseline, where it is there, comes after
    probabilities = chances(draws)
    expected = process.mean(plane(lattice))
    region = region_of(expected, probabilities, PART)
    shares, cover = moments(lattice, probabilities)
    surface, spread = _surface(process)
    return AtlasRow(
        family=result.manifest.config.base,
        data=data,
        budget=budget.facts.text,
        resolution_px=result.manifest.baseline_px,
        shares=shares,
        covariance=tuple(tuple(float(x) for x in line) for line in cover),
        region=tuple(sorted(region)),
        region_area=float(areas(lattice)[region].sum()),
        network=_network(best, best.network.shares),
        surface=surface,
        surface_sd=spread,
        noise=float(np.sqrt(process.at(plane([shares])).noise_variance)),
        p_uniform=_uniform(result, budget),
        delta=result.manifest.config.delta,
        gain=_searched(budget, best),
        verified=_verified(budget),
        provenance=_provenance(result, budget, atlas),
        longer=_longer(budget),
    )


def collected(definition: AtlasDefinition, root: Path) -> tuple[AtlasRow, ...]:
    """Rows of all cells of an atlas whose search is done, in the order of its definition.

    Args:
        root: the folder of its studies.

    Raises:
        StudyError, StorageError: a study cannot be read.
    """
    rows = []
    for study in definition.studies:
        paths = StudyPaths(root / study.name)
        if not paths.there:
            continue
        result = load_result(paths)
        done = (own for own in result.budgets if searched(result, own.facts.text))
        rows += [row for own in done if (row := row_of(result, own, definition.name, study.data))]
    return tuple(rows)


def _surface(process: SurfacePosterior) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Accuracy over that at uniform, on the coarse lattice, and its standard deviation."""
    points = coarse()
    uniform = next(i for i, s in enumerate(simplex_lattice(COARSE)) if s.depth == s.width == s.resolution)
    found = process.at(points)
    mean, cover = found.mean, found.covariance
    variance = np.diag(cover) + cover[uniform, uniform] - 2 * cover[:, uniform]
    return tuple(float(x) for x in mean - mean[uniform]), tuple(float(x) for x in np.sqrt(np.maximum(variance, 0.0)))


def _network(best: NetworkSummary, shares: Shares) -> AtlasNetwork:
    network = best.network
    return AtlasNetwork(
        depths=network.spec.depths,
        widths=network.spec.widths,
        resolution_px=network.spec.resolution_px,
        coefficients=network.coefficients,
        shares=shares,
        uniform="uniform" in network.roles,
    )


def _uniform(result: StudyResult, budget: BudgetResult) -> float | None:
    uniform = with_role(budget.networks, "uniform")
    if uniform is None or budget.standings is None or not uniform.ranked:
        return None
    among = [summary.network.number for summary in budget.networks if summary.ranked]
    return budget.standings.within(uniform.network.number, result.manifest.config.delta, among)


def _searched(budget: BudgetResult, best: NetworkSummary) -> AtlasGain | None:
    uniform = with_role(budget.networks, "uniform")
    if uniform is None or budget.standings is None or uniform.network.number == best.network.number:
        return None
    found = budget.standings.difference(best.network.number, uniform.network.number)
    return AtlasGain(found.expected, found.ci95) if found else None


def _verified(budget: BudgetResult) -> AtlasGain | None:
    found = verification_of(budget)
    if found is None:
        return None
    for verdict in found.verdicts:
        if "uniform" in verdict.against.split("+") and verdict.ci95:
            return AtlasGain(verdict.difference, verdict.ci95)
    return None


def _longer(budget: BudgetResult) -> tuple[LongerSlopes, ...]:
    fidelity = budget.proof.fidelity
    return tuple(
        LongerSlopes(
            times=change.longer,
            networks=change.networks,
            seeds=change.seeds,
            slopes=tuple(change.slopes[name] for name in DIMENSIONS),
            ci95=tuple(change.intervals[name] for name in DIMENSIONS),
        )
        for change in (fidelity.rank_changes if fidelity else ())
        if change.slopes
    )


def _provenance(result: StudyResult, budget: BudgetResult, atlas: str) -> Provenance:
    manifest, config = result.manifest, result.manifest.config
    ranked = [summary for summary in budget.networks if summary.ranked]
    recipes = [result.recipe_of(summary.network) for summary in ranked]
    rates = [recipe.learning_rate for recipe in recipes]
    verification = budget.proof.verification
    return Provenance(
        atlas=atlas,
        version=manifest.versions.get("scalesearch", ""),
        torch=manifest.versions.get("torch", ""),
        made=manifest.created_at[:10],
        device=manifest.device,
        processor=manifest.host.get("processor", ""),
        networks=len(ranked),
        trainings=sum(len(summary.accuracies) for summary in ranked),
        seeds=config.seeds,
        new_seeds=len(verification.seeds) if verification else 0,
        epochs=config.proxy.epochs,
        train_images=manifest.data.train_images,
        val_images=manifest.data.val_images,
        batch_size=config.proxy.batch_size,
        optimizer=recipes[0].optimizer,
        learning_rate=(min(rates), max(rates)),
    )
