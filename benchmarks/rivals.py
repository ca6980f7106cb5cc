"""The default study against its rivals, live: the same data, baseline and training seconds (`rivals/` has each).

    python benchmarks/rivals.py [--repeats 10] [--folder FOLDER] [--only NNI,Ax] [--told-only]

A repeat runs the default study; its CPU-seconds, less those of the same command again (which only shows the result),
are what each of the others may train for: NNI's rule, Optuna's TPE and Ax (`pip install -e ".[bench]"`). CPU-seconds,
since other work on the machine stretches them less than the clock. What was proposed, and the best network of the real
table, is then trained anew on new seeds and scored on test images. Every row is written when it is there; the same
command goes on, and several processes may share a folder (`--only`, `--first`). Prints Markdown. The shape that is set
is the default study's own, and takes about 27 minutes of one busy core for a repeat. A quarter of it (`--train-images
4000 --val-images 2500 --epochs 1`) trains so shortly that twice the compute is worth nothing, and tells nobody apart.
"""

from __future__ import annotations

import argparse
import csv
import ctypes
import fcntl
import importlib.util
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "rivals"))
import ax_loop
import fixed_shares
import nni_rule
import optuna_tpe
import replay
from rivals_told import rows, told
from task import Task, laboratory

from scalesearch.api import load_study
from scalesearch.networks.spec import NetworkSpec
from scalesearch.search.prepare import Prepared

SCRIPTS = Path(__file__).parent / "rivals"
DEFAULT, JUDGE = "scalesearch", "judge"
SEARCHES: dict[str, Callable[[Task, int], NetworkSpec]] = {
    "NNI": nni_rule.search,
    "Optuna TPE": optuna_tpe.search,
    "Ax": ax_loop.search,
}
FIXED: dict[str, Callable[[Task], NetworkSpec]] = {"pycls": fixed_shares.pycls, "uniform": fixed_shares.uniform}
PROPOSALS = ("repeat", "rival", "cost", "trainings", "training_cpu_s", "cpu_s", "found", "recommended", "network")
"""Columns: `found` is the accuracy that the search saw, `recommended` the default's own advice."""
TRUTH = ("network", "seed", "cost", "accuracy", "cpu_s")
NEW_SEEDS = 9_000_000
"""First of the seeds on which proposals are judged; no search has them."""
RIVAL_SEEDS = 1_000_000


def written(network: NetworkSpec) -> str:
    return json.dumps(asdict(network), separators=(",", ":"))


def read(text: str) -> NetworkSpec:
    fields = json.loads(text)
    return NetworkSpec(**fields | {"depths": tuple(fields["depths"]), "widths": tuple(fields["widths"])})


def add(path: Path, columns: Iterable[str], row: dict[str, object]) -> None:
    """Append one line, whole and on the disk; other processes may write to the same file."""
    with path.open("a", newline="") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0, os.SEEK_END)
        out = csv.DictWriter(file, list(columns), lineterminator="\n")
        if file.tell() == 0:
            out.writeheader()
        out.writerow(row)
        file.flush()
        os.fsync(file.fileno())


def cpu_of(command: list[str]) -> float:
    """CPU-seconds of a command and of all that it starts, those included that outlive their parents (Linux)."""
    ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER: orphans become ours, and are waited for
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ | {"PATH": path})
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            break
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


class Bench:
    """One folder of results, and what is not in it yet."""

    def __init__(self, asked: argparse.Namespace) -> None:
        self.asked = asked
        self.folder: Path = asked.folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.proposals, self.truth = self.folder / "proposals.csv", self.folder / "truth.csv"
        self.lab: Prepared = laboratory(asked.train_images, asked.val_images, asked.epochs)
        self.count = Task(self.lab, 0.0, 0)
        self.judge = Task(self.lab, 0.0, 0, on_test=True)

    def done(self, repeat: int, rival: str) -> dict[str, str] | None:
        found = [r for r in rows(self.proposals) if r["repeat"] == str(repeat) and r["rival"] == rival]
        return found[0] if found else None

    def tell(self, repeat: int, rival: str, network: NetworkSpec, **figures: object) -> None:
        figures |= {"repeat": repeat, "rival": rival, "network": written(network)}
        figures["cost"] = f"{self.count.cost(network):.4f}"
        add(self.proposals, PROPOSALS, figures)
        print(f"repeat {repeat}, {rival}: {figures}", file=sys.stderr, flush=True)

    def default(self, repeat: int) -> None:
        """The study as the command line runs it."""
        asked = self.asked
        with tempfile.TemporaryDirectory() as place:
            options = {
                "--train-images": asked.train_images, "--val-images": asked.val_images, "--epochs": asked.epochs,
                "--name": "rival", "--studies-dir": place,
            }  # fmt: skip
            command = [str(SCRIPTS / "scalesearch_default.sh"), str(repeat)]
            command += [str(part) for pair in options.items() for part in pair]
            seconds = cpu_of(command)
            training = seconds - cpu_of(command)
            study = load_study("rival", studies_dir=place)
        best = study.best("2x")
        self.tell(
            repeat, DEFAULT, best.summary.network.spec, trainings=best.result.trainings,
            training_cpu_s=f"{training:.1f}", cpu_s=f"{seconds:.1f}", found=f"{best.accuracy.mean:.4f}",
            recommended=study.answer("2x").choice.name,
        )  # fmt: skip

    def search(self, repeat: int, rival: str, seconds: float) -> None:
        begun = time.process_time()
        task = Task(self.lab, seconds, RIVAL_SEEDS + 10_000 * (10 * repeat + list(SEARCHES).index(rival)))
        network = SEARCHES[rival](task, repeat)
        self.tell(
            repeat, rival, network, trainings=len(task.trained), training_cpu_s=f"{task.spent:.1f}",
            cpu_s=f"{time.process_time() - begun:.1f}", found=f"{max(a for n, a in task.trained if n == network):.4f}",
        )  # fmt: skip

    def judged(self) -> None:
        """Train what has no value yet: proposals, the baseline, and the best network of the real table."""
        networks = [read(r["network"]) for r in rows(self.proposals)]
        known = dict.fromkeys([self.lab.baseline.spec, best_of_table(), *networks])
        for seed in range(NEW_SEEDS, NEW_SEEDS + self.asked.new_seeds):
            for network in known:
                if (written(network), str(seed)) not in {(r["network"], r["seed"]) for r in rows(self.truth)}:
                    before = self.judge.spent
                    accuracy = self.judge.accuracy_of(network, seed)
                    row = {"network": written(network), "seed": seed, "cost": f"{self.count.cost(network):.4f}"}
                    spent = f"{self.judge.spent - before:.2f}"
                    add(self.truth, TRUTH, row | {"accuracy": f"{accuracy:.5f}", "cpu_s": spent})

    def run(self) -> None:
        """Every repeat's work that is asked for and not done."""
        for rival, fixed in FIXED.items():
            if not self.done(0, rival):
                self.tell(0, rival, fixed(self.count), trainings=0, training_cpu_s=0)
        for repeat in range(self.asked.first, self.asked.repeats):
            for work in self.asked.only.split(","):
                if work == JUDGE:
                    self.judged()
                elif not self.done(repeat, work):
                    self.propose(repeat, work)

    def propose(self, repeat: int, rival: str) -> None:
        if rival == DEFAULT:
            self.default(repeat)
            return
        row = self.done(repeat, DEFAULT)
        if not (self.asked.seconds or row):
            raise SystemExit(f"{rival} may train as long as the default study of repeat {repeat}, which is not there")
        self.search(repeat, rival, self.asked.seconds or float(row["training_cpu_s"] if row else 0))


def best_of_table() -> NetworkSpec:
    """The network with the highest mean in `tables/default_2x.csv`."""
    found: dict[NetworkSpec, list[float]] = {}
    for row in rows(replay.TABLE):
        if row["budget"] == "2x":
            depths, widths = (tuple(json.loads(row[key])) for key in ("depths", "widths"))
            stem, head, px = (int(row[key]) for key in ("stem_width", "head_width", "resolution_px"))
            found.setdefault(NetworkSpec(depths, widths, px, stem, head), []).append(float(row["accuracy"]))
    return max(found, key=lambda network: sum(found[network]) / len(found[network]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--train-images", type=int, default=8000)
    parser.add_argument("--val-images", type=int, default=5000)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--new-seeds", type=int, default=6, help="on which proposals are judged")
    parser.add_argument("--first", type=int, default=0, help="repeat to begin with")
    parser.add_argument("--only", default=",".join((DEFAULT, *SEARCHES, JUDGE)), help="a part of the work of a repeat")
    parser.add_argument("--seconds", type=float, help="of training for each rival, instead of the default study's own")
    parser.add_argument("--folder", type=Path, default=SCRIPTS, help="of the results; goes on with it")
    parser.add_argument("--told-only", action="store_true", help="print the table of what is there")
    asked = parser.parse_args()
    if "Ax" in asked.only.split(",") and not asked.told_only and importlib.util.find_spec("ax") is None:
        raise SystemExit('Ax is not installed; run: pip install -e ".[bench]"')
    if not asked.told_only:
        Bench(asked).run()
    print(told(asked.folder, SCRIPTS))


if __name__ == "__main__":
    main()
