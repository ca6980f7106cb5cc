"""A training that diverges or learns nothing at a measured learning rate: the rate is halved once, for all alike."""

from __future__ import annotations

from collections.abc import Callable

from scalesearch.analysis.fidelity.chance import chance_of
from scalesearch.analysis.fidelity.rate_grid import VALIDATION
from scalesearch.search.rates.ranging import Recipes
from scalesearch.study import StudyStore
from scalesearch.study.manifest import DataFacts
from scalesearch.study.record import NetworkRecord, TrainingOutcome


class Diverged(Exception):  # noqa: N818 (no error: the search goes on at half the rate)
    """A training diverged or learned nothing, and the rate can still be halved."""


def lowers_once(
    recipes: Recipes, store: StudyStore, data: DataFacts
) -> Callable[[NetworkRecord, TrainingOutcome], None]:
    """What watches the outcomes of a search.

    Only a rate that was measured is halved: one that a user gives is theirs, and its divergence a finding. That a
    training is no better than guessing counts where a short training was clearly better: then it can be learned.

    Returns:
        A function that raises `Diverged` at the first training whose loss is not finite, or that learned nothing.
    """
    chance, short = chance_of(data), chance_of(data, VALIDATION)
    tried = recipes.rates.tried if recipes.rates else ()
    learns = any(t.accuracy is not None and short.clearly_above(t.accuracy) for t in tried)

    def watch(network: NetworkRecord, outcome: TrainingOutcome) -> None:
        if recipes.rates is None or store.lowered:
            return
        diverged = outcome.cause == "diverged"
        if not diverged and not (learns and chance.ended_at(outcome)):
            return
        name = f"network {network.number}" + (f" ({', '.join(network.names)})" if network.names else "")
        raise Diverged(
            f"{name} {'diverged' if diverged else 'learned nothing'} at the learning rate "
            f"{recipes.of(network).learning_rate:g}: the rate is halved for all networks, once, and the search begins "
            "anew; what was trained stays in the study's database"
        )

    return watch
