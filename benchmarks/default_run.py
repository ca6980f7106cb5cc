"""The README's first command, twice: wall time, peak memory, and whether both runs give the same `trials.csv`.

Memory is the sum of proportional set sizes (Linux), so that libraries shared by the processes count once.

python benchmarks/default_run.py
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
import time
from pathlib import Path

import pandas as pd

from scalesearch.study.record import TIME_COLUMNS


def family(pid: int) -> list[int]:
    found = [pid]
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        found += [child for text in path.read_text().split() for child in family(int(text))]
    return found


def memory_mb(pid: int) -> float:
    total = 0
    for member in family(pid):
        try:
            lines = Path(f"/proc/{member}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
    return total / 1024


def run(folder: Path, name: str) -> tuple[float, float]:
    command = ["scalesearch", "run", "--budget", "2x", "--name", name, "--studies-dir", str(folder)]
    begun, peak = time.perf_counter(), 0.0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            with contextlib.suppress(OSError):
                peak = max(peak, memory_mb(process.pid))
            time.sleep(0.5)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} left with {process.returncode}")
    return time.perf_counter() - begun, peak


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name in ("first", "second"):
            seconds, peak = run(folder, name)
            result = json.loads((folder / name / "result.json").read_text())
            noise = result["budgets"][0]["reliability"]
            low, high = noise["ci95"]
            print(
                f"{name}: {seconds:.0f} s, {peak:.0f} MB, {result['networks']} networks, "
                f"{result['trainings']} trainings, ICC {noise['icc']:.2f} ({low:.2f} to {high:.2f})"
            )
        tables = [
            pd.read_csv(folder / name / "trials.csv").drop(columns=list(TIME_COLUMNS)) for name in ("first", "second")
        ]
        print("trials.csv identical apart from times:", tables[0].equals(tables[1]))


if __name__ == "__main__":
    main()
