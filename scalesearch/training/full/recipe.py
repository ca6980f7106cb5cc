"""The recipe of a full training as frozen values, TOML as their file form, and what can be taken out of it.

Source: Tan & Le, arXiv 1905.11946v5, section 5.2, and `main.py` of the official code: RMSProp (decay 0.9, momentum 0.9,
eps 1e-3), batch-norm momentum 0.99, weight decay 1e-5, learning rate 0.256 for 4,096 images warmed up over 5 epochs and
multiplied by 0.97 every 2.4, SiLU, AutoAugment, stochastic depth with survival 0.8, dropout 0.2 (B0) to 0.5 (B7), label
smoothing 0.1, an average of the weights with decay 0.9999; 350 epochs, the best of which is chosen on a held-out split.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from scalesearch.errors import ConfigError, choice_error
from scalesearch.study.config import Augmentation, dump_toml, read_toml, unknown_key

_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)

Policy = Literal["autoaugment", "randaugment", "trivialaugment", "none"]
POLICIES: tuple[str, ...] = get_args(Policy)
PolicyData = Literal["imagenet", "cifar10", "svhn"]
TrainOptimizer = Literal["rmsprop", "rmsprop_torch", "sgd", "adamw"]
Schedule = Literal["steps", "cosine"]


@dataclass(frozen=True, config=_STRICT)
class TrainRecipe:
    """How a found network is trained in full; the defaults are EfficientNet's.

    Everything that the paper says in epochs is scaled to `epochs` over `reference_epochs`.

    Attributes:
        epochs: passes over the training images, unless training stops early.
        reference_epochs: the run that `warmup_epochs` and `decay_epochs` are epochs of.
        batch_size: images a step.
        optimizer: `rmsprop` (TensorFlow's form), `rmsprop_torch` (torch's), `sgd` (Nesterov) or `adamw`.
        learning_rate: peak for a batch of `reference_batch` images; it grows in proportion to the batch.
        reference_batch: the batch that `learning_rate` is for.
        rms_decay: of RMSProp's mean square.
        momentum: of RMSProp and SGD.
        rms_eps: added to the mean square under the root.
        schedule: after the warm-up: `steps`, or `cosine`, which ends at zero.
        warmup_epochs: linear warm-up.
        decay_rate: of `steps`: factor of the learning rate every `decay_epochs`; 1 keeps it.
        weight_decay: L2 of RMSProp and SGD, decoupled for adamw; not applied to biases and normalisation.
        bn_momentum: weight of the newest batch in the running statistics (TensorFlow's 0.99 is 0.01 here); 0 keeps the
            network's own.
        clip_norm: largest gradient norm; 0 does not clip.
        ema: decay of the average of the weights, which is what is evaluated and kept; in its first steps
            (1 + step) / (10 + step) where that is less; 0 keeps no average.
        label_smoothing: 0 to 1, in the training loss alone.
        stochastic_depth: rate of the deepest block; it falls linearly to 0 at the first. Survival 0.8 is 0.2 here.
        dropout: before the classifier at phi = 0.
        dropout_largest: the same at phi = 7 and above; between them it grows linearly.
        policy: drawn for each image: `autoaugment`, `randaugment`, `trivialaugment` (torchvision's) or `none`.
        policy_data: whose policy AutoAugment takes.
        geometry: before the policy: mirror, shift by up to an eighth of the side, both, none, or mirror and a crop at
            random (then the centre is what is judged).
        patience: training stops after this part of all epochs without a better validation accuracy; 0 never stops.
        swish: keep the network's SiLU; False puts ReLU in its place.
        se: keep squeeze-and-excitation; False takes it out.
        train_images: use a stratified part of the training images; 0 uses all. The same for val_images.
    """

    epochs: Annotated[int, Field(ge=1, le=100_000)] = 350
    reference_epochs: Annotated[float, Field(gt=0)] = 350.0
    batch_size: Annotated[int, Field(ge=2)] = 256
    optimizer: TrainOptimizer = "rmsprop"
    learning_rate: Annotated[float, Field(gt=0)] = 0.016
    reference_batch: Annotated[int, Field(ge=1)] = 256
    rms_decay: Annotated[float, Field(ge=0, lt=1)] = 0.9
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    rms_eps: Annotated[float, Field(gt=0)] = 1e-3
    schedule: Schedule = "steps"
    warmup_epochs: Annotated[float, Field(ge=0)] = 5.0
    decay_rate: Annotated[float, Field(gt=0, le=1)] = 0.97
    decay_epochs: Annotated[float, Field(gt=0)] = 2.4
    weight_decay: Annotated[float, Field(ge=0)] = 1e-5
    bn_momentum: Annotated[float, Field(ge=0, le=1)] = 0.01
    clip_norm: Annotated[float, Field(ge=0)] = 0.0
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.9999
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.1
    stochastic_depth: Annotated[float, Field(ge=0, lt=1)] = 0.2
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2
    dropout_largest: Annotated[float, Field(ge=0, lt=1)] = 0.5
    policy: Policy = "autoaugment"
    policy_data: PolicyData = "imagenet"
    geometry: Augmentation = "flip+shift"
    patience: Annotated[float, Field(ge=0, le=1)] = 0.0
    swish: bool = True
    se: bool = True
    train_images: Annotated[int, Field(ge=0)] = 0
    val_images: Annotated[int, Field(ge=0)] = 0

    def dropout_at(self, phi: float) -> float:
        """Dropout of the network of a compound coefficient.

        Example:
            >>> [round(TrainRecipe().dropout_at(phi), 3) for phi in (-1, 0, 3.5, 7, 9)]
            [0.2, 0.2, 0.35, 0.5, 0.5]
        """
        part = min(max(phi / LARGEST_PHI, 0.0), 1.0)
        return self.dropout + (self.dropout_largest - self.dropout) * part


LARGEST_PHI = 7.0
"""B7's compound coefficient."""

PARTS: dict[str, dict[str, Any]] = {
    "swish": {"swish": False},
    "se": {"se": False},
    "stochastic_depth": {"stochastic_depth": 0.0},
    "dropout": {"dropout": 0.0, "dropout_largest": 0.0},
    "autoaugment": {"policy": "none"},
    "geometry": {"geometry": "none"},
    "label_smoothing": {"label_smoothing": 0.0},
    "ema": {"ema": 0.0},
    "weight_decay": {"weight_decay": 0.0},
    "warmup": {"warmup_epochs": 0.0},
    "decay": {"schedule": "steps", "decay_rate": 1.0},
    "clip_norm": {"clip_norm": 0.0},
}
"""What `--ablate` can take out, and what the recipe has then; `autoaugment` is whatever policy there is."""

_ADAPTER = TypeAdapter(TrainRecipe)


def without(recipe: TrainRecipe, part: str) -> TrainRecipe:
    """The recipe with one part taken out.

    Raises:
        UnknownNameError: no such part.
        ConfigError: the recipe does not have it, so that nothing would be measured.
    """
    if part not in PARTS:
        raise choice_error("part of the recipe", part, PARTS)
    changed = dataclasses.replace(recipe, **PARTS[part])
    if changed == recipe:
        raise ConfigError(f"the recipe has no {part} to take out; allowed: {', '.join(_present(recipe))}")
    return changed


def _present(recipe: TrainRecipe) -> list[str]:
    return [name for name, change in PARTS.items() if dataclasses.replace(recipe, **change) != recipe]


def recipes() -> dict[str, Path]:
    """The recipes that come with scalesearch, by name."""
    return {path.stem: path for path in sorted((Path(__file__).parent / "recipes").glob("*.toml"))}


def load_recipe(text: str, **changes: Any) -> TrainRecipe:
    """A recipe by the name of one that comes with scalesearch, or by the path of a TOML file.

    Args:
        changes: values to put in place of the file's; None leaves the file's.

    Raises:
        UnknownNameError: neither.
        ConfigError: an unknown key, or a value outside its range.
        StudyError: the file cannot be read.
    """
    known = recipes()
    if text not in known and not text.endswith(".toml"):
        raise choice_error("recipe", text, [*known, "PATH.toml"])
    return with_changes(read_toml(known.get(text, Path(text))), text, **changes)


def with_changes(values: Mapping[str, Any], source: str, **changes: Any) -> TrainRecipe:
    """A recipe from plain values, with the changes that are not None in their place.

    Raises:
        ConfigError: as `recipe_from_dict` says; a change is called by its option.
    """
    given = {name: value for name, value in changes.items() if value is not None}
    recipe_from_dict(values, source)
    return recipe_from_dict({**values, **given}, source, given)


OPTIONS = {"learning_rate": "--lr", "geometry": "--augmentation"}
"""Options of `train` that are not called as their key."""


def recipe_from_dict(
    values: Mapping[str, Any], source: str = "the recipe", optional: Collection[str] = ()
) -> TrainRecipe:
    """Check a plain mapping and freeze it.

    Args:
        source: where messages say that a value stands.
        optional: keys that were given as options, and are called so.

    Raises:
        ConfigError: an unknown key (with the nearest known one) or a value outside its range.
    """
    try:
        return _ADAPTER.validate_python(dict(values))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name, value = str(first["loc"][-1]), first.get("input")
        if first["type"] in {"unexpected_keyword_argument", "extra_forbidden"}:
            raise unknown_key(name, [field.name for field in dataclasses.fields(TrainRecipe)], source) from None
        allowed = str(first["msg"]).removeprefix("Input should be ")
        said = OPTIONS.get(name, f"--{name.replace('_', '-')}") if name in optional else name
        where = "" if name in optional else f" in {source}"
        raise ConfigError(f"{said} is {value!r}{where}; allowed: {allowed}") from None


LATER = ("reference_batch", "schedule", "clip_norm")
"""Keys that trainings have been made without: where they have their default, such a training is the same."""


def recipe_key(recipe: TrainRecipe) -> dict[str, Any]:
    """What tells a recipe from others, the same for a recipe of before `LATER`."""
    defaults = TrainRecipe()
    values = dataclasses.asdict(recipe)
    return {name: value for name, value in values.items() if name not in LATER or value != getattr(defaults, name)}


def recipe_to_toml(recipe: TrainRecipe) -> str:
    """TOML text that `load_recipe` reads back to an equal value."""
    return dump_toml(dataclasses.asdict(recipe))
