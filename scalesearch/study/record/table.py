"""The columns of `trials.csv`, and the way from records to pandas."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from scalesearch.study.record.rows import NetworkRecord, TrainingOutcome, TrialRecord

if TYPE_CHECKING:
    import pandas as pd


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
    Column("learning_rate", "Learning rate"),
    Column("micro_batches", "Parts of a batch, for want of memory"),
    Column("seconds", "Training time", "s", "minimize"),
    Column("compiled_graphs", "Pieces of the network that were compiled for it"),
    Column("compile_seconds", "Of that compiling", "s", "minimize"),
    Column("eager", "Why its steps were not compiled or replayed"),
    Column("trained_on", "Trained on"),
    Column("curve", "Epochs: number, training loss, loss, accuracy"),
    Column("note", "Note"),
    Column("finished_at", "Finished at (UTC)"),
)
"""The columns of `trials.csv`, in order."""

TIME_COLUMNS = ("seconds", "compiled_graphs", "compile_seconds", "finished_at")
"""The only columns that differ between two runs of one study on one machine. (What is compiled for a seed is there for
the next one in the same process.)"""


def _network_cells(network: NetworkRecord) -> dict[str, Any]:
    c, s, spec = network.coefficients, network.shares, network.spec
    return {
        "trial": network.number,
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
        numbers = ("accuracy", "loss", "learning_rate", "seconds", "compile_seconds")
        counts = ("seed", "micro_batches", "compiled_graphs")
        return {**dict.fromkeys(counts), **dict.fromkeys(numbers, math.nan), "curve": "[]"}
    return {
        "seed": outcome.seed,
        "accuracy": _or_nan(outcome.accuracy),
        "loss": _or_nan(outcome.loss),
        "learning_rate": _or_nan(outcome.learning_rate),
        "micro_batches": outcome.micro_batches,
        "seconds": outcome.seconds,
        "compiled_graphs": outcome.compiled_graphs,
        "compile_seconds": outcome.compile_seconds,
        "eager": outcome.eager,
        "trained_on": outcome.trained_on,
        "curve": json.dumps([[p.epoch, p.train_loss, p.loss, p.accuracy] for p in outcome.curve]),
        "note": outcome.note,
        "finished_at": outcome.finished_at,
    }


def to_frame(records: Iterable[TrialRecord]) -> pd.DataFrame:
    """Records as a table with `COLUMNS`, ordered by trial and seed; lists are JSON in one cell."""
    import pandas as pd

    rows = [{**_network_cells(r.network), **_outcome_cells(r.outcome), "status": r.status} for r in records]
    frame = pd.DataFrame(rows, columns=[column.name for column in COLUMNS])
    for name in ("seed", "target_macs", "micro_batches", "compiled_graphs"):
        frame[name] = frame[name].astype("Int64")
    return frame.sort_values(["trial", "seed"], kind="stable", ignore_index=True)
