"""Built-in and registered baselines by name.

Example:
    >>> get_baseline("efficientnet_b0").spec.resolution_px
    224
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from scalesearch.errors import UnknownNameError, UsageError, choice_error
from scalesearch.networks.base import Baseline
from scalesearch.networks.families.convnext import convnext_micro, convnext_small, convnext_tiny
from scalesearch.networks.families.densenet import MEMBERS as DENSENETS
from scalesearch.networks.families.densenet import densenet, densenet_micro, densenet_small
from scalesearch.networks.families.efficientnet import MEMBERS, efficientnet_b, efficientnet_micro
from scalesearch.networks.families.mobilenet import (
    mobilenet_v1,
    mobilenet_v1_micro,
    mobilenet_v2,
    mobilenet_v2_micro,
    mobilenet_v2_small,
)
from scalesearch.networks.families.regnet import MEMBERS as REGNETS
from scalesearch.networks.families.regnet import regnet_y
from scalesearch.networks.families.resnet import MEMBERS as RESNETS
from scalesearch.networks.families.resnet import resnet, resnet20, resnet_micro, resnet_small
from scalesearch.networks.families.vit import vit_micro, vit_small_patch16_224, vit_tiny_patch16_224
from scalesearch.user_code.importing import meant, parameters

BASELINES: dict[str, Callable[[], Baseline]] = {
    "efficientnet_micro": efficientnet_micro,
    **{f"efficientnet_b{index}": partial(efficientnet_b, index) for index in range(len(MEMBERS))},
    "mobilenet_v1": mobilenet_v1,
    "mobilenet_v2": mobilenet_v2,
    "mobilenet_v2_small": mobilenet_v2_small,
    "mobilenet_v1_micro": mobilenet_v1_micro,
    "mobilenet_v2_micro": mobilenet_v2_micro,
    **{name: partial(resnet, name) for name in RESNETS},
    "resnet20": resnet20,
    "resnet_small": resnet_small,
    "resnet_micro": resnet_micro,
    **{name: partial(densenet, name) for name in DENSENETS},
    "densenet_small": densenet_small,
    "densenet_micro": densenet_micro,
    **{name: partial(regnet_y, name) for name in REGNETS},
    "convnext_tiny": convnext_tiny,
    "convnext_small": convnext_small,
    "convnext_micro": convnext_micro,
    "vit_tiny_patch16_224": vit_tiny_patch16_224,
    "vit_small_patch16_224": vit_small_patch16_224,
    "vit_micro": vit_micro,
}
"""Every known name, and what makes its baseline."""


def get_baseline(name: str, native_px: int | None = None) -> Baseline:
    """The baseline called `name`: a built-in, `timm:NAME`, or `package.module:function`.

    Args:
        native_px: resolution of the unscaled network, for a user's function that does not say its own; None takes 32.

    Raises:
        UnknownNameError: no such baseline; the message names the nearest and lists them all.
        BaseError: a user's network that cannot be imported or used.
        MissingExtraError: timm is not installed.
    """
    if name.startswith("timm:"):
        from scalesearch.networks.timm.adapter import timm_baseline

        return timm_baseline(name.removeprefix("timm:"))
    if ":" in name:
        from scalesearch.networks.user.baseline import user_baseline

        return user_baseline(name, native_px)
    if name not in BASELINES:
        raise _unknown(name)
    return BASELINES[name]()


def _unknown(name: str) -> UnknownNameError:
    """The error for a name that is none; a module that lies here gets the function that it lacks."""
    hint = meant(name, lambda found: {"depth", "width"} <= {*parameters(found)} or "stages" in parameters(found))
    if hint:
        return UnknownNameError(f"base {name!r} names no function: {hint} Allowed: package.module:function")
    return choice_error("baseline", name, [*BASELINES, "timm:NAME", "package.module:function"])


def register(name: str, factory: Callable[[], Baseline]) -> None:
    """Make a baseline of your own known to `get_baseline`.

    Raises:
        UsageError: the name is taken by another baseline.
    """
    if BASELINES.get(name, factory) is not factory:
        raise UsageError(f"a baseline {name!r} exists already; allowed: a name other than {', '.join(BASELINES)}")
    BASELINES[name] = factory
