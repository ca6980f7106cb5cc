"""Five hundred trainings in real processes: the command and each of its processes end as small as they began."""

from __future__ import annotations

import multiprocessing
import os
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import pytest
from conftest import children

from scalesearch.scaling.cost import closed_form
from scalesearch.search import records, run
from scalesearch.study import StudyPaths
from scalesearch.study.config import config_from_dict
from scalesearch.training.workers.base import JobDone
from scalesearch.training.workers.local import LocalExecutor

PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 1e6
TINY = {"epochs": 1, "train_images": 20, "val_images": 20, "batch_size": 20, "learning_rate": 0.02}
FIRST, LAST = slice(80, 160), slice(-80, None)
"""Trainings that are compared: each process has met every network by the first of them."""


@dataclass(frozen=True, slots=True)
class Held:
    """What the command and the processes below it hold at one moment: each in megabytes, all in open descriptors."""

    driver: float
    largest: float
    descriptors: int
    processes: int


def resident(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_MB


def held() -> Held:
    below = children(os.getpid())
    descriptors = sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in (os.getpid(), *below))
    return Held(resident(os.getpid()), max(map(resident, below)), descriptors, len(below))


@dataclass
class Watched:
    """Makes executors, and looks after each training."""

    seen: list[Held] = field(default_factory=list)

    def executor(self, setup, workers):
        made = LocalExecutor(setup, workers)
        events = made.events

        def watched(timeout):
            found = events(timeout)
            self.seen += [held() for event in found if isinstance(event, JobDone)]
            return found

        made.events = watched
        return made


@pytest.mark.slow
def test_500_trainings_leave_nothing_behind_in_any_process(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "count", closed_form)
    watched = Watched()
    asked = {"trials": 10, "seeds": 50, "workers": 2, "device": "cpu", "proxy": TINY}
    run(config_from_dict(asked), StudyPaths(tmp_path / "s"), make_executor=watched.executor)
    assert len(watched.seen) >= 500
    before, after = watched.seen[FIRST], watched.seen[LAST]

    def grown(name: str) -> float:
        return median(getattr(one, name) for one in after) - median(getattr(one, name) for one in before)

    assert (grown("descriptors"), grown("processes")) == (0, 0)
    assert grown("driver") < 15  # rows of 400 trainings, 5 kB each, are 2
    assert grown("largest") < 15
    assert multiprocessing.active_children() == []
