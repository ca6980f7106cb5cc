"""What `scalesearch train` is asked for, and with what it is done; read from text, without loading torch."""

from __future__ import annotations

from dataclasses import dataclass

from scalesearch.errors import UsageError, choice_error
from scalesearch.scaling.coefficients import REFERENCES
from scalesearch.study.config.cluster import UNSAID, ClusterOptions
from scalesearch.study.config.parse import MOST_WORKERS, check_workers
from scalesearch.training.full.recipe import TrainRecipe

MOST_SEEDS = 10_000
"""As a study's."""

AGAINST = ("baseline", *REFERENCES)
"""What the found network can be trained beside."""
ALL = "all"


@dataclass(frozen=True, slots=True)
class TrainRequest:
    """What is trained.

    Attributes:
        budget: text of one budget of the study; None takes its first.
        phis: compound coefficients; 1 is the network found, 0 the baseline.
        against: references to train beside it, from `AGAINST`; or `all`, every one that the study has.
        seeds: trainings of each network.
        first_seed: of them.
        ablate: parts to take out of the recipe, one at a time, on the network of the first phi.
        source: how the recipe was named, which the plan says.

    Raises:
        UsageError: nothing to train, or seeds outside their range.
        UnknownNameError: a reference that does not exist.
    """

    recipe: TrainRecipe
    budget: str | None = None
    phis: tuple[float, ...] = (1.0,)
    against: tuple[str, ...] = ()
    seeds: int = 3
    first_seed: int = 0
    ablate: tuple[str, ...] = ()
    source: str = ""

    def __post_init__(self) -> None:
        if not self.phis:
            raise UsageError("nothing to train: allowed: one phi or more, such as 1 or 0,1")
        if not 1 <= self.seeds <= MOST_SEEDS:
            raise UsageError(f"--seeds is {self.seeds}; allowed: 1 to {MOST_SEEDS}")
        if not 0 <= self.first_seed <= 2**31 - self.seeds:
            raise UsageError(f"--first-seed is {self.first_seed}; allowed: 0 to {2**31 - self.seeds}")
        for name in self.against:
            if name not in (*AGAINST, ALL):
                raise choice_error("network to train beside it", name, (*AGAINST, ALL))


@dataclass(frozen=True, slots=True)
class Means:
    """With what it is trained; none of it changes the numbers on a CPU.

    Attributes:
        device: None takes the study's.
        workers: trainings at once; None takes one a core on CPU and one on a GPU.
        loaders: processes that prepare images, for each training.
        time_limit: seconds after which trainings save themselves and end.
        logs: names, see `logs.LOGS`.
        skip_bad: count unreadable images and go on, also where the study was not told so.
        per_training: devices that train one network together; on a CPU, processes.
        devices: numbers of GPUs that train at once, each a network, or `per_training` of them together one; None takes
            the study's.
        cluster: seats of a Ray cluster.
        training_timeout: seconds after which a training that has not ended is given up, and goes on another time from
            its last checkpoint; 0 takes a multiple of its estimate.

    Raises:
        UsageError: fewer workers or devices than one, or fewer loaders than none.
    """

    device: str | None = None
    workers: int | None = None
    loaders: int = 0
    time_limit: float | None = None
    logs: tuple[str, ...] = ()
    skip_bad: bool = False
    per_training: int = 1
    devices: tuple[int, ...] | None = None
    cluster: ClusterOptions = UNSAID
    training_timeout: float = 0.0

    def __post_init__(self) -> None:
        check_workers(self.workers)
        if not 0 <= self.loaders <= MOST_WORKERS:
            raise UsageError(f"--loaders is {self.loaders}; allowed: 0 to {MOST_WORKERS}")
        if self.per_training < 1:
            raise UsageError(f"--per-training is {self.per_training}; allowed: 1 or more")


def parse_names(text: str | None) -> tuple[str, ...]:
    """Names separated by commas, each once.

    Example:
        >>> parse_names("swish, se,swish"), parse_names(None)
        (('swish', 'se'), ())
    """
    parts = (part.strip() for part in (text or "").split(","))
    return tuple(dict.fromkeys(part for part in parts if part))
