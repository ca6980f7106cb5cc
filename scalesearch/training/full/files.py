"""What one full training leaves behind: `result.json`, `model.safetensors` and `curve.csv` in its folder."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from scalesearch.environment.cells import cell
from scalesearch.environment.files import write_atomic
from scalesearch.errors import StudyError
from scalesearch.networks.spec import NetworkSpec
from scalesearch.study.plain import Number, from_plain, to_plain
from scalesearch.study.record import EpochPoint, TrainingOutcome

RESULT, WEIGHTS, CURVE, TABLE = "result.json", "model.safetensors", "curve.csv", "trainings.csv"
RECIPE = "recipe.toml"
Scored = Literal["test", "validation"]


@dataclass(frozen=True)
class Trained:
    """One finished training.

    Attributes:
        label: of the network and what was taken out of the recipe, such as `phi 1` or `phi 1 without se`.
        without: the part that was taken out; empty where none was.
        phi: compound coefficient; None for a reference.
        roles: names of the network in the study: references, `baseline`.
        status: `complete`, or `failed` where a loss was not finite.
        scored: the images of `accuracy` and `loss`; `validation` where the data has no test split.
        accuracy: of the weights of the best epoch, 0 to 1; None when failed.
        loss: their cross-entropy, in nats.
        val_accuracy: of the same weights on the held-out split that chose them.
        best_epoch: whose weights those are; counted from 1.
        curve: one point an epoch.
        recipe: by name; what was used.
        folder: where the weights and checkpoints are; not stored, because folders move.
        micro_batches: see `TrainingOutcome`; of the part that one process gets.
        processes: that trained it together, each an equal part of every batch.
        trained_on: what the maker calls the device; empty where it was not kept.
        sha256: of the weights' content; empty when failed.
    """

    label: str
    without: str
    phi: Number | None
    roles: tuple[str, ...]
    budget: str
    base: str
    spec: NetworkSpec
    macs: int
    params: int
    seed: int
    status: Literal["complete", "failed"]
    scored: Scored
    accuracy: float | None
    loss: float | None
    val_accuracy: float | None
    best_epoch: int
    seconds: float
    curve: tuple[EpochPoint, ...]
    recipe: dict[str, Any]
    device: str
    versions: dict[str, str]
    finished_at: str
    note: str
    sha256: str
    folder: Path
    micro_batches: int = 1
    processes: int = 1
    trained_on: str = ""

    @property
    def weights(self) -> Path:
        """The file of the best epoch's weights."""
        return self.folder / WEIGHTS

    @property
    def outcome(self) -> TrainingOutcome:
        """The part of it that the executors and the progress view know."""
        return TrainingOutcome(
            self.seed, self.status, self.accuracy, self.loss, self.seconds, self.curve, self.finished_at, self.note,
            micro_batches=self.micro_batches, trained_on=self.trained_on,
        )  # fmt: skip


def write_trained(trained: Trained) -> None:
    """Write curve and result; the result last, because its being there means that the training is finished.

    Raises:
        StorageError: the folder cannot be written.
    """
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow([field.name for field in dataclasses.fields(EpochPoint)])
    writer.writerows(map(cell, dataclasses.astuple(point)) for point in trained.curve)
    write_atomic(trained.folder / CURVE, table.getvalue())
    write_atomic(trained.folder / RESULT, json.dumps(trained_to_dict(trained), indent=2, allow_nan=False) + "\n")


def trained_to_dict(trained: Trained) -> dict[str, Any]:
    """Plain values for JSON, without the folder."""
    values = to_plain(trained)
    del values["folder"]
    return values


def read_trained(folder: Path) -> Trained | None:
    """The result of a training folder; None where it is not finished.

    Raises:
        StudyError: the file is damaged.
    """
    path = folder / RESULT
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return from_plain(Trained, {**values, "folder": folder})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise StudyError(f"{path} cannot be read ({error!r}); delete it, and the training is made again") from None


def all_trained(trainings: Path) -> Iterator[Trained]:
    """Every finished training under a study's folder of trainings, by folder name.

    Raises:
        StudyError: a file is damaged.
    """
    for path in sorted(trainings.glob(f"*/*/{RESULT}")):
        found = read_trained(path.parent)
        if found is not None:
            yield found


COLUMNS = (
    "label", "phi", "budget", "base", "seed", "status", "scored", "accuracy", "loss", "val_accuracy", "best_epoch",
    "seconds", "macs", "params", "device", "trained_on", "finished_at", "note", "sha256",
)  # fmt: skip
"""The columns of `trainings.csv`; accuracies are 0 to 1, losses in nats."""


def write_table(trainings: Path) -> None:
    """Write `trainings.csv`: one row for every finished training of the study.

    Raises:
        StorageError: the folder cannot be written.
    """
    found = list(all_trained(trainings))
    if not found:
        return
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow([*COLUMNS, "folder"])
    for one in found:
        row = (*(getattr(one, name) for name in COLUMNS), str(one.folder.relative_to(trainings)))
        writer.writerow(map(cell, row))
    write_atomic(trainings / TABLE, table.getvalue())
