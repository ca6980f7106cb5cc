"""What a study was made from: its definition, data, device, host and versions. Its file form is `study.toml`."""

from __future__ import annotations

import datetime
import importlib.metadata
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from scalesearch import __version__
from scalesearch.scaling.coefficients import NOMINAL, Exponents
from scalesearch.scaling.units import memory_is_estimate
from scalesearch.study.config import LEFT_OPEN, NOWHERE, PER_TRAINING, Engine, Places, StudyConfig, config_from_dict
from scalesearch.study.plain import Number, from_plain, to_plain

SCHEMA = 1
"""Version of `study.toml` and `result.json`; raised when a field changes its meaning."""

_LIBRARIES = ("torch", "fvcore", "optuna", "numpy", "pandas", "scipy")


CLASSES_KEPT = 10
"""Names of classes that a manifest holds."""


@dataclass(frozen=True, slots=True)
class DataFacts:
    """What the search saw of the dataset.

    Attributes:
        fingerprint: SHA-256 of the train and validation images and labels; in studies of a folder that were made before
            contents were seen, of the files' names and sizes.
        notes: what was done to the data on the way in, in sentences.
        class_names: the first CLASSES_KEPT of them.
        splits: where each split comes from, and why.
        majority_share: validation accuracy (0 to 1) of always answering with one class; 0 where it is not known.
        chance_loss: validation loss (nats) of always answering with the shares of the classes; 0 where not known.
        warnings: what the images show that a user should know, in sentences.
        sides: least and largest of the shorter sides of a folder's images; (0, 0) where all are of one size.
        earlier_fingerprint: what such a study would have as its own; empty in them, and for images that are no files.
    """

    spec: str
    classes: int
    channels: int
    native_px: int
    train_images: int
    val_images: int
    fingerprint: str
    notes: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    splits: str = ""
    majority_share: float = 0.0
    warnings: tuple[str, ...] = ()
    sides: tuple[int, int] = (0, 0)
    chance_loss: float = 0.0
    earlier_fingerprint: str = ""

    def same_images(self, other: DataFacts) -> bool:
        """Whether both are of the same images and labels, as far as the older of them can tell."""
        a, b = self.fingerprint, other.fingerprint
        return a in (b, other.earlier_fingerprint) or b == self.earlier_fingerprint


@dataclass(frozen=True, slots=True)
class PixelFacts:
    """How the photographs of a study are read.

    Attributes:
        side: that they are stored at, in pixels; 0 where images are in memory, and in studies from before there was a
            store.
        by_blocks: whether the store is larger than memory, so that the order of images goes block by block.
        resampling: that they are stored by (see `data.store.stored_side`); `bilinear` in studies from before there was
            another, which go on by it.
    """

    side: int = 0
    by_blocks: bool = False
    resampling: str = "bilinear"


@dataclass(frozen=True, slots=True)
class SpeedFacts:
    """Why steps are replayed or compiled, or are not, where the definition left it open; empty where it did not.

    Attributes:
        graph: in words; the same for `compile`.
        graph_saving: part of a step's time that a graph took away, 0 to 1, on the baseline; 0 where it was not timed.
        compile_saving: the same of compiling.
        compile_seconds: that compiling the baseline took; 0 where it was not tried.
        network_seconds: of the training steps of a network of the largest budget, all seeds, as they are without.
    """

    graph: str = ""
    compile: str = ""
    graph_saving: float = 0.0
    compile_saving: float = 0.0
    compile_seconds: float = 0.0
    network_seconds: float = 0.0

    @property
    def told(self) -> tuple[str, ...]:
        """The reasons that there are."""
        return tuple(text for text in (self.graph, self.compile) if text)


AS_GIVEN = SpeedFacts()
"""Nothing was left open."""


@dataclass(frozen=True, slots=True)
class BudgetFacts:
    """One budget as it was searched.

    Attributes:
        text: as given.
        target: in the study's currency.
        networks_on_surface: distinct networks that a dense lattice of the surface rounds to.
        residual_median: median of |cost / target - 1| over those that were realized: all of them where cost is
            arithmetic, else the planned ones.
        within_tolerance: how many of the realized meet the budget.
        realized: how many were.
        tolerance: allowed |cost / target - 1|.
        within: (tolerance, networks that it would leave), where networks were enumerated or the tolerance adapted.
        enumerated: whether the networks were found by trying, and points are the nearest of them.
        beyond: how far outside of the triangle of shares those were looked for, as a part of the log-budget.
        planned: networks that the study will propose on it, the first of them where the sampler ends by itself; 0 where
            the baseline is the only one.
    """

    text: str
    target: float
    networks_on_surface: int
    residual_median: float
    within_tolerance: int
    planned: int
    realized: int = 0
    tolerance: float = 0.02
    within: tuple[tuple[float, int], ...] = ()
    enumerated: bool = False
    beyond: float = 0.35


@dataclass(frozen=True, slots=True)
class PriorFacts:
    """What was expected of a budget's surface when the study was made.

    Attributes:
        rows: of the atlas, by name.
        terms: of the quadratic that is their mean (see `analysis.response.prior`).
    """

    budget: str
    rows: tuple[str, ...]
    terms: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class AcceptedChange:
    """A change of the definition that was accepted after trainings had been made.

    Attributes:
        at: UTC time, ISO 8601.
        what: each field with both values.
        trainings: that it set aside: they are kept in `earlier.csv` and stand in no ranking with later ones.
    """

    at: str
    what: tuple[str, ...]
    trainings: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything needed to run a study again, or to go on with it.

    Attributes:
        baseline_cost: of the unscaled network in the study's currency.
        baseline_px: native resolution of the baseline as it was searched; 0 in studies made before it was kept.
        baseline_identity: of code that is not scalesearch's own (see `Baseline.identity`); empty for its own.
        baseline_imports: the user's files that its code imports, each with a hash (see `user_code.imported`); empty for
            other baselines, and in studies made before they were kept.
        exponents: of cost in depth, width and resolution, which lay out the surface.
        baseline_call: how a user's code is called (see `networks.user.line`); empty for others, and where it was
            not recorded.
        engine: the definition's, with what was found on the device in place of what it leaves open.
        optimizer: that networks are trained with, unless the range test takes `rival_optimizer`; empty in
            studies from before it could be chosen by the network.
        rival_optimizer: that the range test may try beside it; empty for none.
        pixels: how its images are read.
        places: on which devices its trainings ran at once when it was made.
        speed: why its engine replays or compiles steps, or does not.
        changes: of the definition since the study began, the first one first.
        priors: what was expected of each budget, where the definition asks for it.
    """

    study: str
    config: StudyConfig
    data: DataFacts
    baseline_macs: int
    budgets: tuple[BudgetFacts, ...]
    device: str
    workers: int
    versions: Mapping[str, str]
    host: Mapping[str, str]
    created_at: str
    command: str
    baseline_cost: Number
    exponents: Exponents = NOMINAL
    baseline_identity: str = ""
    baseline_imports: Mapping[str, str] = field(default_factory=dict)
    baseline_px: int = 0
    optimizer: str = ""
    baseline_call: str = ""
    engine: Engine = LEFT_OPEN
    pixels: PixelFacts = PixelFacts()
    rival_optimizer: str = ""
    places: Places = NOWHERE
    speed: SpeedFacts = AS_GIVEN
    changes: tuple[AcceptedChange, ...] = ()
    priors: tuple[PriorFacts, ...] = ()

    @property
    def per_training(self) -> bool:
        """Whether the sampler chooses trainings one by one and ends by itself."""
        return self.config.sampler in PER_TRAINING

    @property
    def most_trainings(self) -> int:
        """Trainings in all, if nothing turns out to be off the budget, and no sampler knows enough before."""
        seeds = self.config.seeds
        if self.per_training:
            return seeds + seeds * self.config.trials * sum(budget.planned > 0 for budget in self.budgets)
        return seeds * (1 + sum(budget.planned for budget in self.budgets))

    @property
    def memory_is_estimate(self) -> bool:
        """Whether the memory of a training step was estimated from shapes."""
        return memory_is_estimate(self.device)

    def saves(self, budget: BudgetFacts) -> bool:
        """Whether a budget is under the baseline's cost, so that shares are of what is saved."""
        return budget.target < self.baseline_cost

    @property
    def target_macs(self) -> Mapping[str, int | None]:
        """Budget -> its target in multiply-adds; None where the study counts something else."""
        macs = self.config.cost == "macs"
        return {budget.text: round(budget.target) if macs else None for budget in self.budgets}


def library_versions() -> dict[str, str]:
    """Versions of scalesearch, Python and the libraries that decide the numbers."""
    versions = {"scalesearch": __version__, "python": platform.python_version()}
    for name in _LIBRARIES:
        versions[name] = importlib.metadata.version(name)
    return versions


def host_facts() -> dict[str, str]:
    """What kind of machine this is; its name is left out so that results can be published."""
    return {"system": platform.system(), "machine": platform.machine(), "processor": _processor()}


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:  # noqa: PTH123 (a device file, not a path of ours)
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def utc_now() -> str:
    """UTC time to the second, ISO 8601."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def manifest_to_dict(manifest: Manifest) -> dict[str, Any]:
    """A plain mapping for TOML: the definition at the top, so that the file can be run again, facts under [made]."""
    made = to_plain(manifest)
    definition = made.pop("config")
    return {**definition, "made": {**made, "schema": SCHEMA}}


def manifest_from_dict(values: Mapping[str, Any], source: str) -> Manifest:
    """The manifest that `manifest_to_dict` wrote, also from before budgets had tolerances and currencies of their own.

    Args:
        source: where messages say that a value of the definition stands.

    Raises:
        ConfigError: the definition has an unknown key, or a value outside its range.
        KeyError, TypeError, ValueError: what was made of it is damaged, or has a field that this version does not know.
    """
    definition = {key: value for key, value in values.items() if key != "made"}
    made = dict(values["made"])
    made.pop("schema")
    given = {"tolerance": definition.get("tolerance", 0.02)}
    made["budgets"] = [
        {**given, **{"target" if key == "target_macs" else key: value for key, value in budget.items()}}
        for budget in made["budgets"]
    ]
    made.setdefault("baseline_cost", made["baseline_macs"])
    return from_plain(Manifest, {**made, "config": config_from_dict(definition, source)})
