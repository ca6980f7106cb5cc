"""Eight bad networks in one study: the others end with the accuracies that they have in a study without them."""

from __future__ import annotations

import json
import os
import subprocess

import pandas as pd
import pytest
from conftest import COMMAND, ROOT

NETWORK = """
import ctypes, json, os, time
from pathlib import Path
import torch
from torch import nn

def build(depth, width, resolution, num_classes, in_channels):
    layers, before = [], in_channels
    for stage in range(2):
        channels = max(1, round(8 * 2**stage * width))
        for block in range(max(1, round(2 * depth))):
            layers += [nn.Conv2d(before, channels, 3, 2 if block == 0 else 1, 1), nn.BatchNorm2d(channels), nn.ReLU()]
            before = channels
    net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, num_classes))
    acts = json.loads(Path(os.environ["ACTS"]).read_text())
    return Acting(net, acts.get(f"{round(1000 * depth)},{round(1000 * width)},{resolution}", ""))

def fails():
    raise ValueError("not this one")

def leaves():
    raise SystemExit(3)

def replaces():
    torch.manual_seed = lambda seed: None

ACTS = {
    "raise": fails, "exit": lambda: os._exit(3), "segfault": lambda: ctypes.string_at(0),
    "hang": lambda: time.sleep(600), "nan": lambda: None, "leave": leaves, "replace": replaces,
    "dtype": lambda: torch.set_default_dtype(torch.float64), "": lambda: None,
}

class Acting(nn.Module):
    def __init__(self, net, act):
        super().__init__()
        self.net, self.act, self.nan = net, act, act == "nan"

    def forward(self, x):
        if self.training and torch.is_grad_enabled() and len(x) > 2:
            ACTS[self.act]()
        return self.net(x) * (float("nan") if self.nan and self.training else 1.0)
"""

NOTES = {
    "raise": "error: ",
    "exit": "error: its process ended itself (exit code 3)",
    "segfault": "error: its process ended itself (SIGSEGV)",
    "hang": "timeout: ",
    "nan": "the loss was not finite",
    "leave": "error: SystemExit: 3",
}
ARGUMENTS = (
    "run", "--base", "acting:build", "--budget", "2x", "--resolution", "16", "--trials", "14", "--seeds", "1",
    "--epochs", "1", "--train-images", "400", "--val-images", "200", "--lr", "0.05", "--training-timeout", "30",
    "--workers", "2",
)  # fmt: skip


def studied(folder, name: str, acts: dict[str, str], *command: str) -> tuple[pd.DataFrame, str]:
    (folder / "acts.json").write_text(json.dumps(acts))
    environment = os.environ | {"PYTHONPATH": str(ROOT), "ACTS": str(folder / "acts.json")}
    done = subprocess.run(
        [*COMMAND, *(command or (*ARGUMENTS, "--name", name))], cwd=folder, env=environment, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return pd.read_csv(folder / "studies" / name / "trials.csv"), done.stderr


def key(row) -> str:
    return f"{json.loads(row.depths)[0]},{json.loads(row.widths)[0]},{row.resolution_px}"


@pytest.mark.slow
def test_the_others_end_as_in_a_study_without_them(tmp_path):
    (tmp_path / "acting.py").write_text(NETWORK)
    good, _ = studied(tmp_path, "good", {})
    assert (good.status == "complete").all()
    kinds = [*NOTES, "replace", "dtype"]
    acts = dict(zip(map(key, good.iloc[2 : 2 + len(kinds)].itertuples()), kinds, strict=True))
    mixed, said = studied(tmp_path, "mixed", acts)
    for row, then in zip(mixed.itertuples(), good.itertuples(), strict=True):
        act = acts.get(key(row))
        if act in NOTES:
            assert row.status == "failed"
            assert row.note.startswith(NOTES[act]), row.note
        elif act is None:
            assert (row.accuracy, row.loss, row.curve) == (then.accuracy, then.loss, then.curve)
    assert "it has changed torch.manual_seed; what comes next is trained in a clean process" in " ".join(said.split())
    again, _ = studied(tmp_path, "mixed", {}, "resume", "mixed", "--retry-failed")
    broke = mixed.note.fillna("").str.startswith(("error", "timeout"))
    assert broke.sum() == 5
    assert again[broke].accuracy.tolist() == good[broke].accuracy.tolist()
