"""Optuna's TPE with a limit on the multiply-adds that fvcore counts; what breaks it is not trained.

Source: github.com/optuna/optuna-examples: `basic/quadratic_constraint.py` (constraints: c - limit, feasible at 0 or
less) and `multi_objective/pytorch_simple.py` (the cost counted in the objective). A budget is a limit from above there,
and so it is here.
"""

import optuna
from task import TOLERANCE, Task

from scalesearch.networks.spec import NetworkSpec

LIMIT = 1 + TOLERANCE


def over(cost: float) -> float:
    return cost - LIMIT


def search(task: Task, seed: int) -> NetworkSpec:
    networks: dict[int, NetworkSpec] = {}

    def objective(trial: optuna.Trial) -> float:
        network = task.network(
            trial.suggest_float("depth", 1.0, 2.0),
            trial.suggest_float("width", 1.0, 1.5),
            trial.suggest_float("resolution", 1.0, 1.5),
        )
        networks[trial.number] = network
        excess = over(task.cost(network))
        trial.set_constraint("multiply-adds", excess)
        if excess > 0:
            raise optuna.TrialPruned
        return task.accuracy(network)

    def until_spent(study: optuna.Study, _: optuna.trial.FrozenTrial) -> None:
        if not task.has_time:
            study.stop()

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.TPESampler(seed=seed)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.optimize(objective, n_trials=2000, callbacks=[until_spent])
    return networks[study.best_trial.number]
