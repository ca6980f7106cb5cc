"""Everything that is known before the first training: names checked, data loaded, budgets turned into surfaces."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from scalesearch.config import StudyConfig
from scalesearch.data import Dataset, absolute_spec, load_dataset
from scalesearch.errors import StudyError
from scalesearch.executors.base import WorkerSetup
from scalesearch.executors.local import default_workers
from scalesearch.manifest import BudgetFacts, DataFacts, Manifest, host_facts, library_versions, utc_now
from scalesearch.networks.base import Baseline, Task
from scalesearch.networks.registry import get_baseline
from scalesearch.proxy import resolve_device
from scalesearch.realize import Surface, dense_map, make_surface, realize
from scalesearch.samplers import ADAPTIVE, Proposal, fixed_points, reference_proposals
from scalesearch.space import REFERENCES, Shares, parse_budget
from scalesearch.spec import Candidate, NetworkSpec


@dataclass(frozen=True)
class BudgetSpace:
    """One budget: its surface and every network of a dense lattice on it, with the coefficients that give each."""

    text: str
    surface: Surface
    dense: Mapping[NetworkSpec, Candidate]

    @property
    def is_baseline(self) -> bool:
        """Whether the budget is the baseline's own cost, where the baseline is the only network of the plane."""
        return self.surface.ratio == 1.0

    def candidate(self, shares: Shares) -> Candidate:
        """The candidate of a point."""
        return realize(self.surface, self.surface.coefficients(shares))

    def key(self, shares: Shares) -> NetworkSpec:
        """The network of a point: two points with one key are one network."""
        return self.candidate(shares).spec

    def facts(self, planned: int) -> BudgetFacts:
        """What the manifest keeps of it."""
        candidates = list(self.dense.values())
        return BudgetFacts(
            text=self.text,
            target_macs=self.surface.target_macs,
            networks_on_surface=len(candidates),
            residual_median=statistics.median(abs(c.residual) for c in candidates),
            within_tolerance=sum(c.within_tolerance for c in candidates),
            planned=planned,
        )


@dataclass(frozen=True)
class Prepared:
    """A checked definition with its data and surfaces; nothing has been written yet."""

    config: StudyConfig
    dataset: Dataset
    baseline: Baseline
    task: Task
    device: str
    workers: int
    budgets: tuple[BudgetSpace, ...]

    def setup(self) -> WorkerSetup:
        """What a worker needs."""
        threads = 1 if self.device == "cpu" else 0
        return WorkerSetup(self.baseline, self.task, self.dataset, self.config.proxy, self.device, threads)


def data_facts(dataset: Dataset) -> DataFacts:
    """What the manifest keeps of a dataset."""
    return DataFacts(
        spec=dataset.name,
        classes=len(dataset.classes),
        channels=dataset.channels,
        native_px=dataset.native_px,
        train_images=len(dataset.train),
        val_images=len(dataset.val),
        fingerprint=dataset.fingerprint,
        notes=dataset.notes,
    )


def budget_space(baseline: Baseline, task: Task, text: str, tolerance: float) -> BudgetSpace:
    """The surface of one budget and the networks on it.

    Raises:
        InfeasibleError: the budget is under the smallest network that the family can make.
    """
    budget = parse_budget(text)
    surface = make_surface(baseline, task, budget, tolerance)
    if abs(surface.ratio - 1) <= tolerance:  # the baseline itself meets the budget
        budget = parse_budget("1x")
        surface = make_surface(baseline, task, budget, tolerance)
    return BudgetSpace(budget.text, surface, dense_map(surface))


def prepare(config: StudyConfig, device: str | None = None) -> Prepared:
    """Check a definition against this machine, load its data, and lay out its budgets.

    Args:
        device: of the study that is resumed; None resolves the definition's.

    Raises:
        ScaleSearchError: unknown baseline or data, a device that is not there, a budget that cannot be met.
    """
    baseline = get_baseline(config.base)
    baseline = replace(baseline, rules=replace(baseline.rules, depth_rule=config.rounding))
    chosen = str(resolve_device(device or config.device))
    recipe = config.proxy
    dataset = load_dataset(
        config.data,
        skip_bad=config.skip_bad,
        train_images=recipe.train_images or None,
        val_images=recipe.val_images or None,
    )
    task = Task(len(dataset.classes), dataset.channels)
    spaces = [budget_space(baseline, task, text, config.tolerance) for text in config.budgets]
    unique: dict[int, BudgetSpace] = {}
    for space in spaces:  # 800M and 0.8G are one budget
        unique.setdefault(space.surface.target_macs, space)
    workers = config.workers or default_workers(chosen)
    return Prepared(config, dataset, baseline, task, chosen, workers, tuple(unique.values()))


def make_manifest(prepared: Prepared, name: str, command: str) -> Manifest:
    """The frozen definition of a new study."""
    return Manifest(
        study=name,
        config=replace(prepared.config, data=absolute_spec(prepared.config.data)),
        data=data_facts(prepared.dataset),
        baseline_macs=prepared.baseline.macs(prepared.baseline.spec, prepared.task),
        budgets=tuple(space.facts(planned_networks(prepared.config, space)) for space in prepared.budgets),
        device=prepared.device,
        workers=prepared.workers,
        versions=library_versions(),
        host=host_facts(),
        created_at=utc_now(),
        command=command,
    )


def proposals(config: StudyConfig, space: BudgetSpace) -> list[Proposal]:
    """The points known before training: the references, then all points of a sampler that does not learn."""
    found = reference_proposals(space.key)
    if config.sampler in ADAPTIVE:
        return found
    own = fixed_points(
        config.sampler,
        max(0, config.trials - len(found)),
        [REFERENCES[name] for proposal in found for name in proposal.roles],
        space.key,
        ratio=space.surface.ratio,
        seed=config.seed,
        grid_step=config.grid_step,
    )
    return found + [Proposal(shares) for shares in own]


def planned_networks(config: StudyConfig, space: BudgetSpace) -> int:
    """How many networks a study will propose on a budget, the references included."""
    if space.is_baseline:
        return 0
    known = len(proposals(config, space))
    return max(known, min(config.trials, len(space.dense))) if config.sampler in ADAPTIVE else known


def check_same(manifest: Manifest, asked: Mapping[str, Any]) -> None:
    """Refuse to resume a study under another definition.

    Args:
        asked: values given on the command line by name of the field; None was not given.

    Raises:
        StudyError: naming each field that differs, with both values.
    """
    differing = []
    for field, given in asked.items():
        kept = getattr(manifest.config, field)
        value = absolute_spec(given) if field == "data" and given is not None else given
        if value is not None and value != kept:
            differing.append(f"{field} is {_plain(kept)}, not {_plain(value)}")
    if differing:
        raise StudyError(
            f"study {manifest.study!r} was made otherwise: {'; '.join(differing)}; start a new study for that"
        )


def _plain(value: Any) -> str:
    return ",".join(value) if isinstance(value, tuple) else str(value)


def check_data(manifest: Manifest, prepared: Prepared) -> None:
    """Refuse to resume on data that has changed since the study began.

    Raises:
        StudyError: naming what differs.
    """
    then, now = manifest.data, data_facts(prepared.dataset)
    if then.fingerprint == now.fingerprint:
        return
    counts = f"{then.train_images}+{then.val_images} images then, {now.train_images}+{now.val_images} now"
    raise StudyError(
        f"the data {then.spec!r} has changed since study {manifest.study!r} began ({counts}, fingerprint "
        f"{then.fingerprint[:12]} then, {now.fingerprint[:12]} now); start a new study, or bring the old data back"
    )
