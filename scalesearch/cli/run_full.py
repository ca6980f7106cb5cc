"""`scalesearch train`: full trainings under a progress view, then their scores."""

from __future__ import annotations

import json
import sys

from scalesearch.cli.app import typed, watched
from scalesearch.report.full import render_full
from scalesearch.report.layout import console
from scalesearch.study import StudyPaths
from scalesearch.training.full.request import Means, TrainRequest


def train_fully(paths: StudyPaths, ask: TrainRequest, means: Means, as_json: bool) -> None:
    """Train in full; the arguments are those of `training.full.train`."""
    from scalesearch.training.full import compared, train, trainings_to_dict

    done = watched(
        paths,
        as_json,
        lambda listener: train(paths, ask, means, listener=listener),
        again=typed(),
    )
    if as_json:
        content = trainings_to_dict(paths.name, ask, done, compared(done))
        sys.stdout.write(json.dumps(content, indent=2, allow_nan=False) + "\n")
        return
    if done:
        console().print(render_full(compared(done), done[0].scored))
    for folder in dict.fromkeys(one.folder.parent for one in done):
        sys.stdout.write(f"wrote {folder}\n")
