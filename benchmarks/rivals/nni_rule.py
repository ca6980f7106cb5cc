"""NNI's example: a grid of step 0.05, what its tuner keeps, one training each, the best one.

Source: github.com/microsoft/nni, examples/trials/efficientnet: `search_net.json` at bd9fda5 (the ranges and the step; a
later version, 45c5dbf, has a step of 0.1) and `tuner.py` (|alpha * beta^2 * gamma^2 - 2| < 0.1).
"""

import itertools
import random

from task import Task

from scalesearch.networks.spec import NetworkSpec


def steps(most: float) -> list[float]:
    return [round(1 + 0.05 * i, 2) for i in range(round((most - 1) / 0.05) + 1)]


def kept() -> list[tuple[float, float, float]]:
    points = itertools.product(steps(2.0), steps(1.5), steps(1.5))
    return [(a, b, c) for a, b, c in points if abs(a * b**2 * c**2 - 2) < 0.1]


def search(task: Task, seed: int) -> NetworkSpec:
    points = kept()
    random.Random(seed).shuffle(points)
    best, found = 0.0, task.network(*points[0])
    for point in points:
        if not task.has_time:
            break
        network = task.network(*point)
        accuracy = task.accuracy(network)
        if accuracy > best:
            best, found = accuracy, network
    return found
