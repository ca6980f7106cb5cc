"""One row of evidence, the table of its columns, and the way to and from pandas.

`TrialRecord` is one training (or one network that was refused, or failed) with everything needed to read it alone.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from scalesearch.space import Coefficients, Shares
from scalesearch.spec import NetworkSpec

if TYPE_CHECKING:
    import pandas as pd

Status = Literal["complete", "failed", "off_budget"]
Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class EpochPoint:
    """One epoch of a training: mean training loss, validation loss, validation accuracy (0 to 1)."""

    epoch: int
    train_loss: float
    loss: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class TrainingOutcome:
    """What one seeded training gave.

    Attributes:
        seed: of initialisation, data order and augmentation.
        status: `complete`, or `failed` when a loss was not finite.
        accuracy: validation accuracy after the last epoch, 0 to 1; None when failed.
        loss: validation cross-entropy after the last epoch, in nats; None when failed.
        seconds: wall-clock time of the training.
        curve: one point an epoch.
        finished_at: UTC time, ISO 8601.
        note: why it failed.
    """

    seed: int
    status: Status
    accuracy: float | None
    loss: float | None
    seconds: float
    curve: tuple[EpochPoint, ...]
    finished_at: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class NetworkRecord:
    """A candidate as a study keeps it.

    Attributes:
        trial: number of the network in the study, in the order of proposal.
        budget: text of the budget; the baseline's own is `1x`.
        roles: names under which it was proposed: `baseline`, `depth`, `width`, `resolution`, `uniform`, `efficientnet`.
        coefficients: the triple that proposed it.
        shares: of log-cost; None for the baseline, which spends nothing.
        alpha_range: smallest and largest alpha that round to this network; the same for beta and gamma.
    """

    trial: int
    budget: str
    roles: tuple[str, ...]
    coefficients: Coefficients
    shares: Shares | None
    alpha_range: Range
    beta_range: Range
    gamma_range: Range
    spec: NetworkSpec
    macs: int
    target_macs: int
    params: int
    activations: int
    within_tolerance: bool


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """One row of evidence: a network and one training of it (None for a network that was never trained)."""

    network: NetworkRecord
    outcome: TrainingOutcome | None

    @property
    def status(self) -> Status:
        """`complete`, `failed`, or `off_budget` for a network outside the tolerance."""
        return self.outcome.status if self.outcome else "off_budget"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of `trials.csv`: its name, a label for people, its unit, and whether more is better."""

    name: str
    label: str
    unit: str = ""
    direction: Literal["maximize", "minimize", ""] = ""


COLUMNS: tuple[Column, ...] = (
    Column("trial", "Trial"),
    Column("budget", "Budget"),
    Column("roles", "Proposed as"),
    Column("alpha", "Depth multiplier alpha"),
    Column("beta", "Width multiplier beta"),
    Column("gamma", "Resolution multiplier gamma"),
    Column("share_depth", "Depth share of log-cost"),
    Column("share_width", "Width share of log-cost"),
    Column("share_resolution", "Resolution share of log-cost"),
    Column("alpha_range", "Alphas that give this network"),
    Column("beta_range", "Betas that give this network"),
    Column("gamma_range", "Gammas that give this network"),
    Column("depths", "Blocks per stage"),
    Column("widths", "Channels per stage"),
    Column("stem_width", "Stem channels"),
    Column("head_width", "Head channels"),
    Column("resolution_px", "Resolution", "px"),
    Column("macs", "FLOPs (multiply-adds)", "", "minimize"),
    Column("target_macs", "Target FLOPs (multiply-adds)"),
    Column("params", "Parameters", "", "minimize"),
    Column("activations", "Activations", "", "minimize"),
    Column("within_tolerance", "Within the tolerance"),
    Column("seed", "Seed"),
    Column("status", "Status"),
    Column("accuracy", "Validation accuracy", "0 to 1", "maximize"),
    Column("loss", "Validation loss", "nats", "minimize"),
    Column("seconds", "Training time", "s", "minimize"),
    Column("curve", "Epochs: number, training loss, loss, accuracy"),
    Column("note", "Note"),
    Column("finished_at", "Finished at (UTC)"),
)
"""The columns of `trials.csv`, in order."""

TIME_COLUMNS = ("seconds", "finished_at")
"""The only columns that differ between two runs of one study on one machine."""


def engineering(value: float) -> str:
    """A count with a unit, three digits.

    Example:
        >>> engineering(385_814_752), engineering(1_204_000), engineering(512)
        ('386M', '1.20M', '512')
    """
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= 0.9995 * size:
            scaled = value / size
            return f"{scaled:.{2 if scaled < 9.995 else 1 if scaled < 99.95 else 0}f}{unit}"
    return f"{value:.0f}"


def outcome_to_dict(outcome: TrainingOutcome) -> dict[str, Any]:
    """A plain mapping for JSON, which `outcome_from_dict` reads back to an equal value."""
    return {
        "seed": outcome.seed,
        "status": outcome.status,
        "accuracy": outcome.accuracy,
        "loss": outcome.loss,
        "seconds": outcome.seconds,
        "curve": [[p.epoch, p.train_loss, p.loss, p.accuracy] for p in outcome.curve],
        "finished_at": outcome.finished_at,
        "note": outcome.note,
    }


def outcome_from_dict(values: Mapping[str, Any]) -> TrainingOutcome:
    """The inverse of `outcome_to_dict`."""
    curve = tuple(EpochPoint(int(p[0]), float(p[1]), float(p[2]), float(p[3])) for p in values["curve"])
    return TrainingOutcome(**{**values, "curve": curve})


def spec_to_dict(spec: NetworkSpec) -> dict[str, Any]:
    """A plain mapping for JSON."""
    return {
        "depths": list(spec.depths),
        "widths": list(spec.widths),
        "resolution_px": spec.resolution_px,
        "stem_width": spec.stem_width,
        "head_width": spec.head_width,
    }


def spec_from_dict(values: Mapping[str, Any]) -> NetworkSpec:
    """The inverse of `spec_to_dict`."""
    return NetworkSpec(
        tuple(values["depths"]),
        tuple(values["widths"]),
        values["resolution_px"],
        values["stem_width"],
        values["head_width"],
    )


def network_to_dict(network: NetworkRecord) -> dict[str, Any]:
    """A plain mapping for JSON, which `network_from_dict` reads back to an equal value."""
    c, s = network.coefficients, network.shares
    return {
        "trial": network.trial,
        "budget": network.budget,
        "roles": list(network.roles),
        "coefficients": [c.alpha, c.beta, c.gamma],
        "shares": None if s is None else [s.depth, s.width, s.resolution],
        "alpha_range": list(network.alpha_range),
        "beta_range": list(network.beta_range),
        "gamma_range": list(network.gamma_range),
        "spec": spec_to_dict(network.spec),
        "macs": network.macs,
        "target_macs": network.target_macs,
        "params": network.params,
        "activations": network.activations,
        "within_tolerance": network.within_tolerance,
    }


def network_from_dict(values: Mapping[str, Any]) -> NetworkRecord:
    """The inverse of `network_to_dict`."""
    fields = dict(values)
    fields["roles"] = tuple(values["roles"])
    fields["coefficients"] = Coefficients(*values["coefficients"])
    fields["shares"] = None if values["shares"] is None else Shares(*values["shares"])
    fields["spec"] = spec_from_dict(values["spec"])
    for name in ("alpha_range", "beta_range", "gamma_range"):
        low, high = values[name]
        fields[name] = (low, high)
    return NetworkRecord(**fields)


def _network_cells(network: NetworkRecord) -> dict[str, Any]:
    c, s, spec = network.coefficients, network.shares, network.spec
    return {
        "trial": network.trial,
        "budget": network.budget,
        "roles": "+".join(network.roles),
        "alpha": c.alpha,
        "beta": c.beta,
        "gamma": c.gamma,
        "share_depth": s.depth if s else math.nan,
        "share_width": s.width if s else math.nan,
        "share_resolution": s.resolution if s else math.nan,
        "alpha_range": json.dumps(network.alpha_range),
        "beta_range": json.dumps(network.beta_range),
        "gamma_range": json.dumps(network.gamma_range),
        "depths": json.dumps(spec.depths),
        "widths": json.dumps(spec.widths),
        "stem_width": spec.stem_width,
        "head_width": spec.head_width,
        "resolution_px": spec.resolution_px,
        "macs": network.macs,
        "target_macs": network.target_macs,
        "params": network.params,
        "activations": network.activations,
        "within_tolerance": network.within_tolerance,
    }


def _outcome_cells(outcome: TrainingOutcome | None) -> dict[str, Any]:
    if outcome is None:
        return {"seed": None, "accuracy": math.nan, "loss": math.nan, "seconds": math.nan, "curve": "[]"}
    return {
        "seed": outcome.seed,
        "accuracy": math.nan if outcome.accuracy is None else outcome.accuracy,
        "loss": math.nan if outcome.loss is None else outcome.loss,
        "seconds": outcome.seconds,
        "curve": json.dumps([[p.epoch, p.train_loss, p.loss, p.accuracy] for p in outcome.curve]),
        "note": outcome.note,
        "finished_at": outcome.finished_at,
    }


def to_frame(records: Iterable[TrialRecord]) -> pd.DataFrame:
    """Records as a table with `COLUMNS`, ordered by trial and seed; lists are JSON in one cell."""
    import pandas as pd

    rows = [{**_network_cells(r.network), **_outcome_cells(r.outcome), "status": r.status} for r in records]
    frame = pd.DataFrame(rows, columns=[column.name for column in COLUMNS])
    frame["seed"] = frame["seed"].astype("Int64")
    return frame.sort_values(["trial", "seed"], kind="stable", ignore_index=True)
