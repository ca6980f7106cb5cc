"""The short training run, as frozen values."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, Strict
from pydantic.dataclasses import dataclass

Optimizer = Literal["auto", "sgd", "adamw", "rmsprop"]
Augmentation = Literal["none", "flip", "shift", "flip+shift", "flip+crop"]


def cropped(augmentation: str) -> bool:
    """Whether images are cropped at random, so that networks are judged by a centre.

    Example:
        >>> [cropped(kind) for kind in ("none", "flip+shift", "flip+crop")]
        [False, False, True]
    """
    return "crop" in augmentation


STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)
"""What every dataclass that a file can fill refuses: other keys, and numbers that are not finite."""


MOST_RATE = 100.0
"""No optimizer trains anything at a larger learning rate."""


def _measured(value: Any) -> Any:
    """A learning rate as a file may write it: `auto` is 0."""
    return 0.0 if isinstance(value, str) and value.strip().lower() == "auto" else value


@dataclass(frozen=True, config=STRICT)
class ProxyRecipe:
    """The short training run, the same for every candidate.

    Attributes:
        epochs: passes over the training images.
        batch_size: images a step.
        optimizer: `sgd` (Nesterov), `adamw` or `rmsprop`; `auto` takes AdamW for networks with LayerNorm or without
            batch-norm, else SGD, unless the range test finds AdamW better (see analysis.fidelity.optimizers).
        learning_rate: peak of the schedule: linear warm-up, then a cosine to zero; 0 (in a file
            `"auto"` too) measures it before the search.
        warmup: part of all steps spent warming up, 0 to 1.
        momentum: of SGD and RMSProp.
        weight_decay: decoupled for adamw; not applied to biases and normalisation.
        label_smoothing: 0 to 1. It shifts the training loss only; the validation loss is the plain cross-entropy.
        ema: decay of the weight average that is evaluated; 0 evaluates the weights themselves.
        clip_norm: largest gradient norm; 0 does not clip.
        augmentation: per image: mirror, shift by up to an eighth of the side, both, none, or (for photographs) mirror
            and a crop at random, after which the centre is what is judged.
        dropout: before the classifier.
        stochastic_depth: probability of dropping the last block; falls linearly to 0 at the first.
        bn_momentum: of every batch norm during the proxy (torch's sense); 0 keeps the network's own. The official 0.01
            forgets its start over 500 steps, which a short run does not have.
        train_images: a stratified part of the training split; 0 takes all.
        val_images: the same for validation.
    """

    epochs: Annotated[int, Strict(), Field(ge=1, le=10_000)] = 2
    batch_size: Annotated[int, Strict(), Field(ge=2, le=1_000_000)] = 50
    optimizer: Optimizer = "sgd"
    learning_rate: Annotated[float, Strict(), BeforeValidator(_measured), Field(ge=0, le=MOST_RATE)] = 0.2
    warmup: Annotated[float, Strict(), Field(ge=0, le=1)] = 0.1
    momentum: Annotated[float, Strict(), Field(ge=0, lt=1)] = 0.9
    weight_decay: Annotated[float, Strict(), Field(ge=0, le=10)] = 5e-4
    label_smoothing: Annotated[float, Strict(), Field(ge=0, lt=1)] = 0.0
    ema: Annotated[float, Strict(), Field(ge=0, lt=1)] = 0.0
    clip_norm: Annotated[float, Strict(), Field(ge=0)] = 0.0
    augmentation: Augmentation = "none"
    dropout: Annotated[float, Strict(), Field(ge=0, lt=1)] = 0.0
    stochastic_depth: Annotated[float, Strict(), Field(ge=0, lt=1)] = 0.0
    bn_momentum: Annotated[float, Strict(), Field(ge=0, le=1)] = 0.1
    train_images: Annotated[int, Strict(), Field(ge=0, le=2**40)] = 0
    val_images: Annotated[int, Strict(), Field(ge=0, le=2**40)] = 0
