"""What a study is, as frozen values, and its plain form. Unknown keys are errors.

Pydantic checks types and ranges; its messages become one line that names the key, the value and what is allowed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, Strict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from scalesearch.errors import ConfigError, UsageError, choice_error, nearest
from scalesearch.networks.spec import DEPTH_RULES, DepthRule
from scalesearch.scaling.coefficients import parse_budget
from scalesearch.scaling.units import CURRENCIES, CurrencyName
from scalesearch.study.config.cluster import (
    OPEN,
    UNSAID,
    ClusterOptions,
    ExecutorName,
    host_and_port,
    is_share,
    share_words,
)
from scalesearch.study.config.engine import Engine
from scalesearch.study.config.places import MOST_PER_DEVICE
from scalesearch.study.config.recipe import STRICT, ProxyRecipe
from scalesearch.study.config.spelling import FieldsError, Spelling, key
from scalesearch.study.config.tuned import open_values

SamplerName = Literal["lattice", "surface", "star", "grid", "random", "qmc", "tpe", "gp"]
SAMPLERS: tuple[str, ...] = get_args(SamplerName)
PER_TRAINING = ("surface",)
"""Samplers that choose each training, so that networks get unequal numbers of seeds; they end when they know enough."""
PrunerName = Literal["none", "halving", "hyperband", "wilcoxon"]
ExponentsName = Literal["nominal", "measured"]
PriorName = Literal["none", "atlas"]


@dataclass(frozen=True, config=STRICT)
class StudyConfig:
    """The frozen definition of a study.

    Attributes:
        base: baseline network by name.
        data: data SPEC.
        resolution: native resolution of the baseline in pixels; 0 takes the images' own where the network was made for
            larger ones, else the network's.
        budgets: one or more budgets, searched one at a time.
        sampler: how the next candidate is chosen.
        trials: networks on each budget, the references included; `surface` spends trials x seeds trainings at most.
        seeds: trainings of each network.
        seed: of the study; the same seed gives the same study on the same machine.
        tolerance: allowed |macs / target - 1|; 0 takes the smallest of 2, 3, 5, 8 and 10 % that leaves ten networks.
        cost: what the budget is counted in.
        exponents: of the surface: `nominal` (1, 2, 2), or `measured` on the baseline.
        max_params: networks with more weights are kept and never trained; 0 has no limit. The same for
            max_latency (seconds a batch of `latency_batch`, on the device) and max_memory (bytes of a training step).
        latency_batch: images in the batch whose latency is measured.
        rounding: depth rule.
        grid_step: step of the `grid` sampler.
        delta: of the `surface` sampler: accuracies (0 to 1) that are this close count as equally good.
        prior: what is expected of accuracy over the shares before anything is trained: nothing, or the nearest rows of
            the atlas that comes along.
        confidence: at which probability that its choice is within delta of the best the `surface` sampler stops.
        pruner: what gives weak networks up early; it stays off while the rung does not rank like the end.
        rung: epoch at which `halving` and `hyperband` look first; 0 takes the first quarter of the epochs.
        workers: processes; 0 takes one a core on CPU and one on a GPU.
        devices: GPUs of one kind on which trainings run at once, by number; none takes `device` alone.
        per_device: trainings at once on each GPU; `auto` times 1, 2 and 4; 0 is 1, or `workers` where they are given.
        device: `auto`, `cpu`, `cuda`, `cuda:1`, `mps`.
        executor: `local` trains on this machine, `ray` on a cluster or by a Ray of this machine's own; `workers` are
            then trainings at once, and 0 takes as many as the cluster holds, whatever it grows to.
        address: of the cluster, `auto` or HOST:PORT; empty starts a Ray on this machine.
        gpus_per_training: of each training on a cluster, a part of one or whole ones; `auto` is one where there are
            any. The same for `cpus_per_training`; 0 is one core.
        time_limit: seconds after which no new training starts; 0 has no limit.
        training_timeout: seconds after which a training that has not ended fails; 0 takes a multiple of the estimate.
        skip_bad: count unreadable images and go on.
        max_pixels: image files with more pixels are refused; 0 takes the default limit.
        seed_split: of the splits that are set aside and of stratified subsets.
        proxy: the training recipe.
        engine: how trainings use the device.
    """

    base: str = "efficientnet_micro"
    data: str = "fashion-mnist-mini"
    resolution: Annotated[int, Strict(), Field(ge=0, le=65_536)] = 0
    budgets: tuple[str, ...] = ("2x",)
    sampler: SamplerName = "lattice"
    trials: Annotated[int, Strict(), Field(ge=1, le=100_000)] = 12
    seeds: Annotated[int, Strict(), Field(ge=1, le=10_000)] = 2
    seed: Annotated[int, Strict(), Field(ge=0, lt=2**31)] = 0
    tolerance: Annotated[float, Strict(), Field(ge=0, le=1)] = 0.0
    cost: CurrencyName = "macs"
    exponents: ExponentsName = "nominal"
    max_params: Annotated[float, Strict(), Field(ge=0)] = 0.0
    max_latency: Annotated[float, Strict(), Field(ge=0)] = 0.0
    max_memory: Annotated[float, Strict(), Field(ge=0)] = 0.0
    latency_batch: Annotated[int, Strict(), Field(ge=1, le=65_536)] = 1
    rounding: DepthRule = "proportional"
    grid_step: Annotated[float, Strict(), Field(gt=0, le=0.5)] = 0.05
    delta: Annotated[float, Strict(), Field(gt=0, lt=1)] = 0.002
    confidence: Annotated[float, Strict(), Field(gt=0.5, lt=1)] = 0.9
    prior: PriorName = "none"
    pruner: PrunerName = "none"
    rung: Annotated[int, Strict(), Field(ge=0)] = 0
    workers: Annotated[int, Strict(), Field(ge=0, le=1024)] = 0
    devices: tuple[Annotated[int, Strict(), Field(ge=0, le=1023)], ...] = ()
    per_device: Literal["auto"] | Annotated[int, Strict(), Field(ge=0, le=MOST_PER_DEVICE)] = 0
    device: str = "auto"
    executor: ExecutorName = "local"
    address: Annotated[str, Field(max_length=300)] = ""
    gpus_per_training: Literal["auto"] | Annotated[float, Strict()] = OPEN
    cpus_per_training: Annotated[float, Strict()] = 0.0
    time_limit: Annotated[float, Strict(), Field(ge=0)] = 0.0
    training_timeout: Annotated[float, Strict(), Field(ge=0)] = 0.0
    skip_bad: Annotated[bool, Strict()] = False
    max_pixels: Annotated[int, Strict(), Field(ge=0)] = 0
    seed_split: Annotated[int, Strict(), Field(ge=0, lt=2**31)] = 0
    proxy: ProxyRecipe = dataclasses.field(default_factory=ProxyRecipe)
    engine: Engine = dataclasses.field(default_factory=Engine)

    def __post_init__(self) -> None:
        if not self.budgets:
            raise ConfigError("budgets is empty; allowed: one or more, such as ['2x']")
        budgets = [parse_budget(text) for text in self.budgets]
        wanted = CURRENCIES[self.cost].kind
        for budget in budgets:
            if budget.kind not in (None, wanted):
                raise ConfigError(
                    f"budget {budget.text!r} cannot be held against cost {self.cost!r}; allowed there: a multiple such "
                    f"as 2x, or {_KINDS[wanted]}"
                )
        object.__setattr__(self, "budgets", tuple(budget.text for budget in budgets))
        self._check_pruner()
        self._check_places()
        self._check_cluster()

    @property
    def first_rung(self) -> int:
        """Epoch after which a pruner looks first."""
        return self.rung or max(1, self.proxy.epochs // 4)

    def cluster(self, *, insecure: bool = False) -> ClusterOptions:
        """All that it says of its executor, as options of a run."""
        if self.executor == "local":
            return ClusterOptions("local", insecure=insecure)
        return ClusterOptions("ray", self.address, self.gpus_per_training, self.cpus_per_training, insecure)

    def _check_places(self) -> None:
        """Trainings at once are counted one way, and devices named one way."""
        if self.workers and (self.devices or self.per_device):
            other = "devices" if self.devices else "per_device"
            raise FieldsError(
                f"<workers> {self.workers} and <{other}> say both how many trainings run at once; allowed: <workers>, "
                "or <per_device> on each of <devices>"
            )
        if self.devices and self.device not in ("auto", "cuda"):
            raise FieldsError(f"<devices> are GPUs, and <device> is {self.device!r}; allowed: one of them")
        if len(set(self.devices)) < len(self.devices):
            raise FieldsError("<devices> names a GPU twice; more trainings on one are <per_device>")

    def _check_cluster(self) -> None:
        """A training's shares of a cluster are shares, and one executor is named."""
        if self.executor == "local":
            for name, own in (("address", ""), ("gpus_per_training", OPEN), ("cpus_per_training", 0)):
                if (value := getattr(self, name)) != own:
                    raise FieldsError(f"<{name}> {value} is for a cluster; allowed with it: <executor> ray")
            return
        if self.address not in ("", "auto") and host_and_port(self.address) is None:
            raise FieldsError(
                f"<address> is {self.address!r}; allowed: auto, or HOST:PORT of a cluster's head, on a machine that is "
                "one of its nodes; without it a Ray of this machine alone"
            )
        gpus = self.gpus_per_training
        if gpus != OPEN and not is_share(gpus, none=True):
            raise FieldsError(f"<gpus_per_training> is {gpus:g}; allowed: {OPEN}, {share_words(none=True)}")
        if self.cpus_per_training and not is_share(self.cpus_per_training):
            raise FieldsError(f"<cpus_per_training> is {self.cpus_per_training:g}; allowed: {share_words()}")
        self._check_cluster_devices()

    def _check_cluster_devices(self) -> None:
        """Which GPUs there are on a cluster is Ray's to say."""
        for name in ("devices", "per_device"):
            if getattr(self, name):
                raise FieldsError(
                    f"<{name}> is for GPUs of this machine, and <executor> is ray; allowed: <gpus_per_training>, of "
                    "which 0.25 is four trainings on each GPU, or <executor> local"
                )
        if self.device not in ("auto", "cpu", "cuda"):
            raise FieldsError(f"<device> is {self.device!r}, and <executor> is ray; allowed with it: auto, cpu, cuda")
        if self.device == "cpu" and self.gpus_per_training not in (OPEN, 0):
            raise FieldsError(
                f"<gpus_per_training> is {self.gpus_per_training:g}, and <device> is cpu; allowed: one of them"
            )
        if self.device == "cuda" and self.gpus_per_training == 0:
            raise FieldsError("<gpus_per_training> is 0, and <device> is cuda; allowed: <device> cpu, or a GPU")

    def _check_pruner(self) -> None:
        """A pruner needs something to look at before the end."""
        if self.pruner in ("halving", "hyperband") and self.first_rung >= self.proxy.epochs:
            raise FieldsError(
                f"<pruner> {self.pruner!r} looks at epoch {self.first_rung} of {self.proxy.epochs}, which leaves "
                "nothing to save; allowed: <rung> before the last epoch, more <proxy.epochs>, or <pruner> 'none'"
            )
        if self.pruner == "wilcoxon" and self.seeds < 5:
            raise FieldsError(
                f"<pruner> 'wilcoxon' can tell nothing before the fourth of {self.seeds} seeds; allowed: <seeds> 5 or "
                "more"
            )
        if self.pruner != "none" and self.sampler == "surface":
            raise FieldsError(
                f"<pruner> {self.pruner!r} has no place with <sampler> 'surface', which spends no training on weak "
                "networks; allowed: <pruner> 'none', or another <sampler>"
            )


_KINDS = {"count": "a number such as 800M", "seconds": "seconds such as 5ms", "bytes": "bytes such as 2GB"}
_ADAPTER = TypeAdapter(StudyConfig)
_CHOICES = {
    "sampler": ("sampler", SAMPLERS),
    "pruner": ("pruner", get_args(PrunerName)),
    "rounding": ("rounding rule", DEPTH_RULES),
    "cost": ("cost", tuple(CURRENCIES)),
    "prior": ("prior", get_args(PriorName)),
    "exponents": ("kind of exponents", get_args(ExponentsName)),
}


def unknown_key(key: str, allowed: list[str], source: str) -> ConfigError:
    """The error for a key that a file does not know, with the nearest one that it does."""
    guess = nearest(key, allowed)
    hint = f"; did you mean {guess!r}?" if guess else "."
    return ConfigError(f"unknown key {key!r} in {source}{hint} Allowed: {', '.join(allowed)}")


def _as_error(error: ValidationError, source: str, spelled: Spelling) -> UsageError:
    first = error.errors(include_url=False)[0]
    where, value = [str(part) for part in first["loc"]], first.get("input")
    if first["type"] in {"unexpected_keyword_argument", "extra_forbidden"}:
        owner = {"proxy": ProxyRecipe, "engine": Engine}.get(where[0], StudyConfig)
        place = source or {"proxy": "--recipe"}.get(where[0], spelled(where[0]))
        return unknown_key(where[-1], [f.name for f in dataclasses.fields(owner)], place)
    if first["type"] == "literal_error" and where[0] in _CHOICES:
        what, names = _CHOICES[where[0]]
        return choice_error(what, str(value), names)
    allowed = str(first["msg"]).removeprefix("Input should be ").removeprefix("Value error, ")
    if allowed == "a valid tuple" and isinstance(value, str | int):
        allowed = f"a tuple or list, such as {(value,)!r}"
    place = f" in {source}" if source else ""
    return ConfigError(f"{spelled('.'.join(where))} is {value!r}{place}; allowed: {allowed}")


def config_from_dict(
    values: Mapping[str, Any], source: str = "the study definition", spelled: Spelling = key
) -> StudyConfig:
    """Check a plain mapping and freeze it.

    Args:
        source: where messages say that a value stands; empty says nothing.
        spelled: how they call a field.

    Raises:
        ConfigError: an unknown key (with the nearest known one) or a value outside its range.
    """
    try:
        return _ADAPTER.validate_python(_opened(values))
    except ValidationError as error:
        raise _as_error(error, source, spelled) from None
    except FieldsError as error:
        raise FieldsError(error.template, spelled) from None


def _opened(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values with a learning rate that is to be measured, where none is given for a baseline that has no own."""
    found = dict(values)
    recipe = found.get("proxy", {})
    if isinstance(recipe, Mapping) and isinstance(base := found.get("base", StudyConfig.base), str):
        found["proxy"] = {**recipe, **open_values(base, recipe)}
    return found


def config_to_dict(config: StudyConfig) -> dict[str, Any]:
    """The plain mapping that `config_from_dict` reads back to an equal value."""
    values: dict[str, Any] = _ADAPTER.dump_python(config, mode="json")
    return values


def override(config: StudyConfig, *, spelled: Spelling = key, **changes: Any) -> StudyConfig:
    """A copy with the changes that are not None, checked again; keys of the recipe carry the prefix `proxy_`.

    An engine is given by the switches that change.

    Args:
        spelled: how messages call a field (the command line: `spelling.option`).
    """
    values = config_to_dict(config)
    for field, value in changes.items():
        if value is not None:
            owner, name = (values["proxy"], field[6:]) if field.startswith("proxy_") else (values, field)
            owner[name] = {**values["engine"], **value} if field == "engine" else value
    return config_from_dict(values, source="the arguments" if spelled is key else "", spelled=spelled)


def placed(
    config: StudyConfig,
    workers: int | None = None,
    devices: tuple[int, ...] | None = None,
    per_device: int | str | None = None,
    cluster: ClusterOptions = UNSAID,
    *,
    spelled: Spelling = key,
) -> StudyConfig:
    """A definition with what one run says of where it trains; what says the same in another way is taken out.

    Args:
        workers: None was not given; the same for the others.

    Raises:
        ConfigError: as `override` says.
    """
    machine: dict[str, Any] = {"workers": workers, "devices": devices, "per_device": per_device}
    if any(value is not None for value in machine.values()):
        if workers is None:
            machine["workers"] = 0
        elif devices is None and per_device is None:
            machine |= {"devices": (), "per_device": 0}
    given = {**machine, **_moved(config, cluster, machine)}
    if all(value is None for value in given.values()):
        return config
    return override(config, spelled=spelled, **given)


def _moved(config: StudyConfig, cluster: ClusterOptions, machine: Mapping[str, Any]) -> dict[str, Any]:
    """What a run changes of the executor, and what of the other executor is then said no more."""
    given: dict[str, Any] = {field.name: getattr(cluster, field.name) for field in dataclasses.fields(cluster)}
    given.pop("insecure")
    if cluster.executor in (None, config.executor):
        return given
    before: dict[str, Any] = {"address": "", "gpus_per_training": OPEN, "cpus_per_training": 0.0}
    if cluster.executor == "ray":
        kind = config.device.partition(":")[0]
        before = {name: () if name == "devices" else 0 for name in ("devices", "per_device") if not machine[name]}
        before |= {"device": kind} if kind == "cuda" else {}
    before |= {} if machine["workers"] else {"workers": 0}
    return before | {name: value for name, value in given.items() if value is not None}
