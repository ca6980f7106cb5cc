"""A training that diverges at a learning rate that was measured: the rate is halved once, for all networks alike."""

from __future__ import annotations

from collections.abc import Callable

from scalesearch.search.rates.ranging import Recipes
from scalesearch.study import StudyStore
from scalesearch.study.record import NetworkRecord, TrainingOutcome


class Diverged(Exception):  # noqa: N818 (no error: the search goes on at half the rate)
    """A training diverged, and the rate can still be halved."""


def lowers_once(recipes: Recipes, store: StudyStore) -> Callable[[NetworkRecord, TrainingOutcome], None]:
    """What watches the outcomes of a search.

    Only a rate that was measured is halved: one that a user gives is theirs, and its divergence a finding.

    Returns:
        A function that raises `Diverged` at the first training whose loss is not finite.
    """

    def watch(network: NetworkRecord, outcome: TrainingOutcome) -> None:
        if recipes.rates is None or store.lowered or outcome.status != "failed":
            return
        name = f"network {network.trial}" + (f" ({', '.join(network.names)})" if network.names else "")
        raise Diverged(
            f"{name} diverged at the learning rate {recipes.of(network).learning_rate:g}: the rate is halved for all "
            "networks, once, and the search begins anew; what was trained stays in the study's database"
        )

    return watch
