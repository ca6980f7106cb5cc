"""Short trainings that measure the learning rate are told with a count of their own, and are none of the study's."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console
from test_rate_range import MANY, NETWORKS

from scalesearch.cli.progress import LiveProgress, PlainProgress
from scalesearch.search.check_base import check_base
from scalesearch.search.rates.ranging import ShortListener, usual_trainings
from scalesearch.study.config import ProxyRecipe
from scalesearch.study.record import TrainingOutcome
from scalesearch.training.workers.base import Job

DONE = TrainingOutcome(0, "complete", 0.5, 1.2, 2.0, (), "then")
DEEPEST = replace(NETWORKS["deepest"], roles=("deepest",))
JOB = Job(1, DEEPEST.spec, 0, ProxyRecipe(learning_rate=0.2))


def shown(view: LiveProgress) -> str:
    out = Console(file=io.StringIO(), width=100)
    out.print(view._view())
    return out.file.getvalue()


def test_each_is_counted_and_the_studys_own_are_not():
    out = io.StringIO()
    view = PlainProgress(Console(file=out, width=200))
    view.total = 23
    short = ShortListener(view, MANY, 3, 10)
    short.finished(JOB, DEEPEST, DONE)
    assert "learning rate: 4 of about 10 short trainings: deepest at 0.2: accuracy 50.0 %, 2.0 s" in out.getvalue()
    assert (view.done, view.total) == (0, 23)


def test_the_live_view_shows_them_until_the_study_trains():
    view = LiveProgress(Console(file=io.StringIO(), width=100))
    view.total = 23
    assert "short trainings" not in shown(view)
    short = ShortListener(view, MANY, 0, 10)
    assert "learning rate: 0 of about 10 short trainings" in shown(view)
    short.finished(JOB, DEEPEST, DONE)
    assert "learning rate: 1 of about 10 short trainings" in shown(view)
    assert "0/23 trainings" in shown(view)
    view.started(JOB, DEEPEST)
    assert "short trainings" not in shown(view)


def test_more_than_usual_are_never_more_than_all():
    view = PlainProgress(Console(file=io.StringIO()))
    short = ShortListener(view, MANY, 10, 10)
    short.finished(JOB, DEEPEST, DONE)
    assert view.short == "learning rate: 11 of about 11 short trainings"


@pytest.mark.parametrize(("networks", "usual"), [(("baseline",), 4), (("baseline", "deepest", "widest"), 10)])
def test_the_usual_number(networks, usual):
    assert usual_trainings(networks) == usual


def test_where_two_optimizers_are_tried_each_is_named():
    out = io.StringIO()
    view = PlainProgress(Console(file=out, width=200))
    adamw = replace(JOB, recipe=ProxyRecipe(learning_rate=0.002, optimizer="adamw"))
    ShortListener(view, MANY, 0, 14, by=True).finished(adamw, DEEPEST, DONE)
    assert "1 of about 14 short trainings: deepest at adamw 0.002: accuracy 50.0 %, 2.0 s" in out.getvalue()


# --- check-base takes the resolution as run does


@pytest.mark.parametrize(("asked", "images", "px"), [(None, 64, 64), (None, 500, 224), (96, 64, 96), (None, None, 224)])
def test_check_base_looks_at_the_network_that_run_would_search(asked, images, px, monkeypatch):
    from scalesearch.networks.native import native_baseline
    from scalesearch.search import check_base as module

    looked_at = []
    monkeypatch.setattr(module, "_checked", lambda baseline, *_, **__: looked_at.append(baseline))
    check_base("resnet18", resolution_px=asked, native_px=images)
    (baseline,) = looked_at
    assert baseline.spec.resolution_px == px
    wanted = native_baseline("resnet18", resolution_px=asked or 0, images_px=images or 0).baseline
    assert (baseline.spec, baseline.rules) == (wanted.spec, wanted.rules)
