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

Status = Literal["complete", "failed", "stopped", "off_budget", "infeasible"]
Range = tuple[float, float]
Excess = tuple[tuple[str, float], ...]


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
        status: `complete`; `failed` when a loss was not finite; `stopped` when a pruner ended it, or spared it.
        accuracy: validation accuracy after the last epoch, 0 to 1; None unless complete.
        loss: validation cross-entropy after the last epoch, in nats; None unless complete.
        seconds: wall-clock time of the training.
        curve: one point an epoch.
        finished_at: UTC time, ISO 8601.
        note: why it is not complete.
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
        macs: counted multiply-adds, whatever the budget is counted in; the same for params and activations.
        currency: what the budget is counted in.
        cost: in that currency, after rounding and repair: counted, or measured before the training.
        target: the budget in that currency.
        excess: (name, cost / limit - 1) of every second limit of the study: above 0 where the network breaks it; such
            a network is kept and never trained.
        latency_seconds: median of a batch, where it was measured.
        latency_spread: distance between the quartiles of its repeats, over the median.
        memory_bytes: of a training step, where it was asked for.
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
    params: int
    activations: int
    currency: str
    cost: float
    target: float
    within_tolerance: bool
    excess: Excess = ()
    latency_seconds: float | None = None
    latency_spread: float | None = None
    memory_bytes: float | None = None

    @property
    def target_macs(self) -> int | None:
        """The budget in multiply-adds; None where it is counted in something else."""
        return round(self.target) if self.currency == "macs" else None

    @property
    def residual(self) -> float:
        """Signed relative miss of the budget: cost / target - 1."""
        return self.cost / self.target - 1.0

    @property
    def violations(self) -> Excess:
        """The second limits that it breaks."""
        return tuple((name, part) for name, part in self.excess if part > 0)

    @property
    def trainable(self) -> bool:
        """Whether it is on the budget and within every second limit."""
        return self.within_tolerance and not self.violations


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """One row of evidence: a network and one training of it (None for a network that was never trained)."""

    network: NetworkRecord
    outcome: TrainingOutcome | None

    @property
    def status(self) -> Status:
        """Of the training, or `off_budget` (outside the tolerance) or `infeasible` (over a second limit)."""
        if self.outcome:
            return self.outcome.status
        return "infeasible" if self.network.within_tolerance else "off_budget"


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
    Column("currency", "The budget is counted in"),
    Column("cost", "Cost in that currency"),
    Column("target", "Target in that currency"),
    Column("latency_seconds", "Latency of a batch", "s", "minimize"),
    Column("latency_spread", "Spread of the repeats: quartile distance / median"),
    Column("memory_bytes", "Memory of a training step", "bytes", "minimize"),
    Column("within_tolerance", "Within the tolerance"),
    Column("violations", "Second limits that are broken: name, part over the limit"),
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
        "unit": spec.unit,
    }


def spec_from_dict(values: Mapping[str, Any]) -> NetworkSpec:
    """The inverse of `spec_to_dict`."""
    return NetworkSpec(
        tuple(values["depths"]),
        tuple(values["widths"]),
        values["resolution_px"],
        values["stem_width"],
        values["head_width"],
        values.get("unit", "block"),
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
        "params": network.params,
        "activations": network.activations,
        "currency": network.currency,
        "cost": network.cost,
        "target": network.target,
        "within_tolerance": network.within_tolerance,
        "excess": [list(part) for part in network.excess],
        "latency_seconds": network.latency_seconds,
        "latency_spread": network.latency_spread,
        "memory_bytes": network.memory_bytes,
    }


def network_from_dict(values: Mapping[str, Any]) -> NetworkRecord:
    """The inverse of `network_to_dict`."""
    fields = dict(values)
    if "target_macs" in fields:  # written before budgets had other currencies
        fields |= {"currency": "macs", "cost": values["macs"], "target": fields.pop("target_macs")}
    fields["excess"] = tuple((name, part) for name, part in values.get("excess", ()))
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
        "currency": network.currency,
        "cost": network.cost,
        "target": network.target,
        "latency_seconds": _or_nan(network.latency_seconds),
        "latency_spread": _or_nan(network.latency_spread),
        "memory_bytes": _or_nan(network.memory_bytes),
        "within_tolerance": network.within_tolerance,
        "violations": json.dumps(network.violations),
    }


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def _outcome_cells(outcome: TrainingOutcome | None) -> dict[str, Any]:
    if outcome is None:
        return {"seed": None, "accuracy": math.nan, "loss": math.nan, "seconds": math.nan, "curve": "[]"}
    return {
        "seed": outcome.seed,
        "accuracy": _or_nan(outcome.accuracy),
        "loss": _or_nan(outcome.loss),
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
    for name in ("seed", "target_macs"):
        frame[name] = frame[name].astype("Int64")
    return frame.sort_values(["trial", "seed"], kind="stable", ignore_index=True)
