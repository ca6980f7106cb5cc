"""A Keras model counted stage by stage, and compared with scalesearch's own network."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from scalesearch.export.library import LibraryProbe, StageCount

if TYPE_CHECKING:
    from torch import Tensor

_ORDER = ("weight", "bias", "running_mean", "running_var", "gamma")
"""Weights of a layer as Keras lists them, under torch's names."""


def compare(model: Any, own: nn.Module, images: Tensor, own_paths: Mapping[str, str]) -> LibraryProbe:
    """Give a model the weights of `own`, and run both.

    In single precision, because Keras' batch-norm computes in float32 whatever the policy says.

    Args:
        model: functional; the names of its layers start with their stage.
        own: scalesearch's network, in eval mode.
        images: float32 [N, in_channels, px, px].
        own_paths: name of a layer -> path of the submodule of `own` that it is.

    Returns:
        Counts for images of the shape that the model takes; macs are None where Keras' backend is not torch. The gap is
        infinite where shapes are others than those of `own`.
    """
    pixels = images.permute(0, 2, 3, 1).contiguous()
    fits = model.input_shape[1:] == tuple(pixels.shape[1:]) and _take_weights(model, own, own_paths)
    stages, logits = _run(model, pixels if fits else torch.zeros(1, *model.input_shape[1:]))
    statistics = sum(math.prod(weight.shape) for weight in model.non_trainable_weights)
    note = f"count_params() of Keras adds {statistics:,} moving means and variances, which are not trainable"
    with torch.no_grad():
        gap = float(abs(logits - own(images).cpu().numpy()).max()) if fits else math.inf
    return LibraryProbe(stages, gap, note if statistics else "")


def _take_weights(model: Any, own: nn.Module, own_paths: Mapping[str, str]) -> bool:
    """Whether every weight of `own` found its place, and every layer its weights."""
    import keras

    modules, used = dict(own.named_modules()), set()
    for layer in (layer for layer in model.layers if layer.weights):
        path = own_paths.get(layer.name, layer.name)
        depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
        values = keras_weights(modules[path], depthwise) if path in modules else []
        if [value.shape for value in values] != [tuple(weight.shape) for weight in layer.weights]:
            return False
        layer.set_weights(values)
        used.add(path)
    return used == {path for path, part in modules.items() if dict(part.named_parameters(recurse=False))}


def keras_weights(part: nn.Module, depthwise: bool) -> list[Any]:
    """The weights of one torch layer, as arrays in the order and layout of the Keras layer of its kind.

    Args:
        depthwise: whether Keras has a `DepthwiseConv2D` for it.

    Example:
        >>> [array.shape for array in keras_weights(nn.Conv2d(3, 8, 5), depthwise=False)]
        [(5, 5, 3, 8), (8,)]
    """
    own = {**dict(part.named_parameters(recurse=False)), **dict(part.named_buffers(recurse=False))}
    state = {name: value.detach().cpu().numpy() for name, value in own.items()}
    if isinstance(part, nn.Conv2d):
        # torch has [out, in / groups, h, w]; a depthwise kernel of Keras is [h, w, channels, 1].
        state["weight"] = state["weight"].transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0))
    elif isinstance(part, nn.Linear):
        state["weight"] = state["weight"].T
    return [state[name] for name in _ORDER if name in state]


def _run(model: Any, pixels: Tensor) -> tuple[dict[str, StageCount], Any]:
    """Counts of each stage for one image, and the logits; each stage runs as a model of its own."""
    import keras

    counts = keras.backend.backend() == "torch"
    values: Any = pixels if counts else pixels.numpy()
    tensor, stages = model.inputs[0], {}
    for stage, layers in _by_stage(model.layers[1:]).items():
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            values = keras.Model(tensor, layers[-1].output)(values, training=False)
        tensor = layers[-1].output
        params = sum(math.prod(weight.shape) for layer in layers for weight in layer.trainable_weights)
        stages[stage] = StageCount(params, counter.get_total_flops() // (2 * len(pixels)) if counts else None)
    return stages, values.detach().cpu().numpy() if counts else keras.ops.convert_to_numpy(values)


def _by_stage(layers: Iterable[Any]) -> dict[str, list[Any]]:
    """Layers in the order they run, by the stage that their names start with."""
    stages: dict[str, list[Any]] = {}
    for layer in layers:
        stages.setdefault(layer.name.partition("_")[0].removeprefix("stage"), []).append(layer)
    return stages
