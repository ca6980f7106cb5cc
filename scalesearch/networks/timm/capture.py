"""How timm calls the constructor of one of its models: learned from timm itself, without building the model.

timm's entry points compute their arguments in code (stage tables, rounded channels, activations) and hand them to
`build_model_with_cfg`. The entry point is run as it is, with a class in the constructor's place that stops there.
"""

from __future__ import annotations

import difflib
import functools
import inspect
import sys
import threading
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from scalesearch.errors import MissingExtraError, UnknownNameError, UsageError, choice_error

_patching = threading.Lock()


class NotScalableError(UsageError):
    """A model of timm that has no depths and widths to scale; the message is the reason."""


@dataclass(frozen=True)
class TimmCall:
    """A constructor of timm's and all its arguments, the defaults filled in.

    Attributes:
        make: the class.
        arguments: as timm passes them for this model; never change them in place (`copied` gives some to change).
        pruned: whether timm cuts channels out of the network afterwards.
        input_size: channels, height and width of the image that the model was made for.
    """

    make: Callable[..., Any]
    arguments: dict[str, Any]
    pruned: bool
    input_size: tuple[int, int, int]

    def copied(self, **changes: Any) -> dict[str, Any]:
        """Arguments of one's own (timm's constructors empty the stage table that they are given)."""
        return deepcopy({**self.arguments, **changes})


class _Stopped(BaseException):
    """Carries a captured call out of timm's entry point; not an `Exception`, which timm may catch."""

    def __init__(self, call: tuple[Callable[..., Any], dict[str, Any], bool]) -> None:
        super().__init__()
        self.call = call


def current_name(name: str) -> str:
    """`architecture` or `architecture.tag` as timm calls it today; old names lead to new ones.

    Raises:
        MissingExtraError: timm is not installed.
        UsageError: no name at all.
        UnknownNameError: no such model, or no such tag of it; the message names the nearest.
    """
    models = _timm().models
    if not name:
        raise UsageError("'timm:' names no model; allowed: timm:NAME, such as timm:resnet50")
    known = models.get_deprecated_models().get(name, name) or name
    arch, _, tag = known.partition(".")
    if not models.is_model(arch) or arch in models.get_deprecated_models():
        raise _unknown(arch, models.list_models())
    tags = [full.partition(".")[2] for full in models.list_models(f"{arch}.*", include_tags=True)]
    if tag and tag not in tags:
        raise choice_error(f"tag of timm's {arch}", tag, [item for item in tags if item])
    return known


def _unknown(name: str, names: list[str]) -> UnknownNameError:
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else "."
    return UnknownNameError(f"unknown timm model {name!r}{hint} Allowed: a name that timm.list_models() gives")


def _timm() -> Any:
    try:
        import timm
    except ImportError as error:
        raise MissingExtraError("timm", "vision", "a timm: baseline") from error
    return timm


@functools.lru_cache(maxsize=64)
def capture(name: str) -> TimmCall:
    """The constructor call behind a name of `current_name`.

    Raises:
        NotScalableError: timm builds the model in another way.
    """
    import torch

    timm = _timm()
    module: Any = sys.modules[timm.models.model_entrypoint(name).__module__]
    build = getattr(module, "build_model_with_cfg", None)
    if build is None:
        raise NotScalableError("timm does not build it as it builds others")
    with _patching, torch.device("meta"):
        module.build_model_with_cfg = functools.partial(_stop, build)
        try:
            timm.create_model(name, pretrained=False)
        except _Stopped as stopped:
            make, arguments, pruned = stopped.call
        else:
            raise NotScalableError("timm does not build it as it builds others")
        finally:
            module.build_model_with_cfg = build
    size = timm.models.get_pretrained_cfg(name).input_size
    return TimmCall(make, _defaults(make) | arguments, pruned, tuple(size))


def _stop(build: Callable[..., Any], model_cls: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    """timm's own `build`, which completes the arguments, up to the constructor."""
    pruned = bool(kwargs.get("pruned"))

    def constructor(**arguments: Any) -> None:
        raise _Stopped((model_cls, arguments, pruned))

    build(constructor, *args, **kwargs)


def _defaults(make: Callable[..., Any]) -> dict[str, Any]:
    parameters = inspect.signature(make).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}
