"""Where a training or a search can be followed live: TensorBoard, and one hook that wandb and trackio both fit."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from typing_extensions import override

from scalesearch.errors import MissingExtraError, choice_error

LOGS = ("tensorboard", "wandb", "trackio")
"""What `--log` knows; each is an extra of its own."""


@dataclass(frozen=True)
class LogRun:
    """What a log follows: one training, or a search training by training.

    Attributes:
        project: the study.
        name: network and seed, or what is searched.
        config: recipe and network, plain values.
        folder: where files of it go.
        step: what is counted: `epoch`, or `trainings`.
        begins: first step that it tells.
    """

    project: str
    name: str
    config: Mapping[str, Any]
    folder: Path
    step: str = "epoch"
    begins: int = 1


class Log(Protocol):
    """Takes numbers step by step."""

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """The numbers of one step."""

    def close(self) -> None:
        """Nothing comes after this."""


class TensorBoard(Log):
    """Event files in the run's folder."""

    def __init__(self, run: LogRun) -> None:
        from torch.utils.tensorboard import SummaryWriter

        # A training that goes on tells its curve from the start: what an interrupted process wrote is passed over.
        self._writer = SummaryWriter(str(run.folder), purge_step=run.begins)

    @override
    def write(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    @override
    def close(self) -> None:
        self._writer.close()


class WandbShaped(Log):
    """A library with wandb's `init(project, name, config)`, `log` and `finish`; its own settings say where it goes."""

    def __init__(self, library: str, run: LogRun) -> None:
        self._library = importlib.import_module(library)
        self._step = run.step
        self._run = self._library.init(project=run.project, name=run.name, config=dict(run.config))

    @override
    def write(self, step: int, values: Mapping[str, float]) -> None:
        self._library.log({self._step: step, **values}, step=step)

    @override
    def close(self) -> None:
        self._library.finish()


class Guarded(Log):
    """A log whose failure is told once and ends nothing: a training must not depend on who watches it."""

    def __init__(self, name: str, make: Callable[[], Log], note: Callable[[str], None]) -> None:
        self._name, self._note = name, note
        self._log: Log | None = None
        self._log = self._tried(make)

    @override
    def write(self, step: int, values: Mapping[str, float]) -> None:
        if self._log is not None:
            self._tried(self._log.write, step, values)

    @override
    def close(self) -> None:
        if self._log is not None:
            self._tried(self._log.close)

    def _tried(self, call: Callable[..., Any], *given: Any) -> Any:
        try:
            return call(*given)
        except Exception as error:  # whatever a service that cannot be reached makes it raise
            self._log = None
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            self._note(f"{self._name} logs nothing more: {reason}")
            return None


def check_logs(names: Sequence[str]) -> None:
    """Refuse a log that is not known or not installed, before anything is trained.

    Raises:
        UnknownNameError: not one of `LOGS`.
        MissingExtraError: its library is not installed.
    """
    for name in names:
        if name not in LOGS:
            raise choice_error("log", name, LOGS)
        if importlib.util.find_spec(name) is None:
            raise MissingExtraError(name, name, f"--log {name}")


def open_logs(names: Sequence[str], run: LogRun, note: Callable[[str], None]) -> list[Log]:
    """Every log that was asked for."""

    def maker(name: str) -> Callable[[], Log]:
        return (lambda: TensorBoard(run)) if name == "tensorboard" else (lambda: WandbShaped(name, run))

    return [Guarded(name, maker(name), note) for name in names]
