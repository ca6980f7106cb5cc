"""Seconds until the command line answers: medians of 10 of `--help` and `count efficientnet_micro`.

python benchmarks/startup.py
"""

from __future__ import annotations

import statistics
import subprocess
import time

COMMANDS = (["scalesearch", "--help"], ["scalesearch", "count", "efficientnet_micro"])
REPEATS = 10


def seconds(command: list[str]) -> float:
    begun = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - begun


def main() -> None:
    for command in COMMANDS:
        seconds(command)
        times = [seconds(command) for _ in range(REPEATS)]
        print(f"{' '.join(command)}: median {statistics.median(times):.3f} s, {min(times):.3f} to {max(times):.3f}")


if __name__ == "__main__":
    main()
