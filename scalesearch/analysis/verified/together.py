"""The trainings of the search and of `verify`, read by one posterior: what decides which network is taken.

New seeds alone decide badly: three or five of them see differences of some points only, so "not shown" would take back
what the search had shown with more (see benchmarks/answer.md). The posterior knows that the leader was chosen, so the
search's trainings need not be left out for that.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

from scalesearch.analysis.noise import mean_of
from scalesearch.analysis.response.observations import Noise
from scalesearch.analysis.response.prior import SurfacePrior
from scalesearch.analysis.response.standings import Standings, standings
from scalesearch.analysis.summary import NetworkSummary
from scalesearch.study.record.evidence import Split


def together(
    networks: Sequence[NetworkSummary],
    baseline: NetworkSummary | None,
    new: Mapping[int, Sequence[float]],
    new_seeds: Sequence[int],
    split: Split,
    noise: Noise | None = None,
    prior: SurfacePrior | None = None,
) -> Standings | None:
    """How the networks stand by all trainings, those of `verify` included.

    Args:
        networks: of the budget, with the search's trainings.
        baseline: the unscaled network, where it was trained.
        new: network number -> accuracies on each of the new seeds, 0 to 1.
        new_seeds: of `verify`.
        split: on which images; those of the search need nothing taken off.
        noise: of one training, from networks of other budgets.
        prior: what was expected of the surface.

    Returns:
        None where no network has both, or too few trainings are there to know a noise from.
    """
    known = {s.network.number: s for s in [*networks, *([baseline] if baseline else [])]}
    both = [s for s in known.values() if s.ranked and len(new.get(s.network.number, ())) == len(new_seeds) > 0]
    if not both:
        return None
    easier = 0.0
    if split == "test":  # these images are easier or harder than those of the search, for all networks alike
        easier = math.fsum(mean_of(new[s.network.number]) - mean_of(s.accuracies) for s in both) / len(both)
    pooled = {s.network.number: _with(s, new[s.network.number], new_seeds, easier) for s in both}
    own = [pooled.get(s.network.number, s) for s in networks]
    return standings(own, baseline and pooled.get(baseline.network.number, baseline), noise, prior)


def _with(network: NetworkSummary, new: Sequence[float], seeds: Sequence[int], easier: float) -> NetworkSummary:
    accuracies = (*network.accuracies, *(accuracy - easier for accuracy in new))
    return dataclasses.replace(
        network, seeds=(*network.seeds, *seeds), accuracies=accuracies, losses=(), mean=mean_of(accuracies)
    )
