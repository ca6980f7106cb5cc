"""Ax's multi-objective loop (BoTorch): accuracy against cost, then the most accurate trial within the budget.

Source: ax.dev, the tutorial on multi-objective optimization (two objectives, a threshold for the cost as an outcome
constraint). Every trial is trained, as there: the model wants both objectives.
"""

import logging
import warnings

from task import TOLERANCE, Task

from scalesearch.networks.spec import NetworkSpec

LIMIT = 1 + TOLERANCE
BOUNDS = {"depth": (1.0, 2.0), "width": (1.0, 1.5), "resolution": (1.0, 1.5)}


def search(task: Task, seed: int) -> NetworkSpec:
    from ax.api.client import Client
    from ax.api.configs import RangeParameterConfig

    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    client = Client(random_seed=seed)
    client.configure_experiment(
        parameters=[RangeParameterConfig(name=n, parameter_type="float", bounds=b) for n, b in BOUNDS.items()]
    )
    client.configure_optimization(objective="accuracy, -cost", outcome_constraints=[f"cost <= {LIMIT}"])
    seen: list[tuple[bool, float, NetworkSpec]] = []
    while task.has_time:
        for index, values in client.get_next_trials(max_trials=1).items():
            network = task.network(**values)
            cost, accuracy = task.cost(network), task.accuracy(network)
            client.complete_trial(trial_index=index, raw_data={"accuracy": accuracy, "cost": cost})
            seen.append((cost <= LIMIT, accuracy, network))
    return max(seen)[2]
