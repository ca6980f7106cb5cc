"""A user's own network, `package.module:function`: imported, inspected and tried once, before anything is searched."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

from scalesearch.errors import BaseError, InfeasibleError, ScaleSearchError, UsageError, choice_error, nearest
from scalesearch.networks.base import Task
from scalesearch.networks.spec import NetworkSpec, RoundingRules
from scalesearch.networks.user.call import (
    ARGUMENTS,
    FUNCTION,
    METHOD,
    OPTIONS,
    FunctionCall,
    StagesCall,
    UserCall,
    default_of,
    instance,
    load,
    required_arguments,
    signature_of,
    takes_names,
    takes_positions,
)
from scalesearch.networks.user.function import ONE, FunctionBaseline, UserBaseline
from scalesearch.user_code.importing import REFERENCE, guarded, module_exists, only_here

CLASSES, CHANNELS, NATIVE_PX = 10, 3, 32
"""The native resolution of an unscaled network that does not say its own."""

STEPS_TRIED = 5
"""Doublings of the resolution step that are tried where the network does not run at the first."""

NEAR_PX, USUAL_PX = 8, (16, 32, 64, 96, 112, 128, 224, 256, 384)
"""Sizes that are tried where a network does not run at the one it should: up to so many pixels away, and usual ones."""

FORMS = f"{FUNCTION}, or a class with stages() and build()"


def user_baseline(ref: str, native_px: int | None = None, *, asked: bool = False) -> UserBaseline:
    """The baseline that `ref` names: a function of multipliers, or a class (or an object) with `stages()`.

    The code is imported, the unscaled network built and run on shapes, and a few other resolutions tried.

    Args:
        ref: `package.module:attribute`.
        native_px: of the unscaled network, where it does not say its own; None takes 32.
        asked: whether `native_px` holds even where it does.

    Raises:
        UsageError: not of that form.
        BaseError: it cannot be imported, called or built, or gives something else than a network.
        InfeasibleError: the unscaled network does not run at its size.
    """
    _check_form(ref)
    found = load(ref)
    what = f"base {ref!r}"
    _check_kind(what, found)
    staged = callable(getattr(found, "stages", None)) and not _is_network_class(found)
    try:
        return (_stages_baseline if staged else _function_baseline)(ref, what, found, native_px, asked)
    except _OtherSizeError:
        raise
    except InfeasibleError as error:
        if asked:
            raise InfeasibleError(f"{error} (--resolution {native_px})") from error
        where = "the attribute resolution" if staged else "the parameter resolution a default"
        raise InfeasibleError(f"{error} (where its own images are of another size: give it {where})") from error


class _OtherSizeError(InfeasibleError):
    """The unscaled network runs, but not at the size that it should have; the message says at which."""


def _check_form(ref: str) -> None:
    module, _, attribute = ref.partition(":")
    if not REFERENCE.fullmatch(ref) or Path(module).is_file():
        fixed = f"{'.'.join(PurePath(module.removesuffix('.py')).parts)}:{attribute}"
        hint = f"did you mean {fixed!r}? " if REFERENCE.fullmatch(fixed) and fixed != ref else ""
        raise UsageError(f"base {ref!r} names no function in a module; {hint}Allowed: package.module:function")
    if told := only_here(ref):
        raise UsageError(f"base {ref!r}: {told}")
    if nearest(module, ["timm"]) and not module_exists(module):
        raise choice_error("baseline", ref, [f"timm:{attribute}", "package.module:function"])


def _check_kind(what: str, found: Any) -> None:
    from torch import nn

    if isinstance(found, nn.Module):
        raise BaseError(f"{what} is a network that is built already; allowed: what builds it, {FORMS}")
    if not callable(found) and not callable(getattr(found, "stages", None)):
        raise BaseError(f"{what} is of type {type(found).__name__} and cannot be called; allowed: {FORMS}")


def _is_network_class(found: Any) -> bool:
    from torch import nn

    return inspect.isclass(found) and issubclass(found, nn.Module)


def _function_baseline(ref: str, what: str, function: Any, native_px: int | None, asked: bool) -> UserBaseline:
    signature = signature_of(what, function, FORMS)
    by_name = takes_names(signature, ARGUMENTS)
    names = [*ARGUMENTS] if by_name else [*signature.parameters][: len(ARGUMENTS)]
    if not by_name and not takes_positions(signature):
        raise BaseError(
            f"{what} has the parameters {signature}; allowed: {FUNCTION}, by these names or five in this order"
        )
    _check_others(what, signature, names)
    own = None if asked else default_of(signature, "resolution", None if by_name else 2)
    native = own or native_px or NATIVE_PX
    classes = default_of(signature, "num_classes", None if by_name else 3) or CLASSES
    channels = default_of(signature, "in_channels", None if by_name else 4) or CHANNELS
    call = FunctionCall(ref, _options(signature), by_name)
    spec = NetworkSpec((ONE,), (ONE,), native, unit="thousandth")
    rules = RoundingRules(width_divisor=1, depth_rule="round")
    baseline = FunctionBaseline(ref, spec, rules, Task(classes, channels), None, call)
    return _tried(baseline, function)


def _stages_baseline(ref: str, what: str, found: Any, native_px: int | None, asked: bool) -> UserBaseline:
    given = guarded(lambda: instance(found), f"{what}: {getattr(found, '__name__', 'it')}() raised", BaseError)
    if not callable(getattr(given, "build", None)):
        raise BaseError(f"{what} has stages() but no method build; allowed: {METHOD}")
    signature = signature_of(what, given.build, METHOD)
    stem = _whole(what, given, "stem", 0)
    names = ("stages", "resolution", "num_classes", "in_channels", *(["stem"] if stem else []))
    if not takes_names(signature, names):
        extra = ", and stem, because it has a stem" if stem else ""
        raise BaseError(f"{what}: its build has the parameters {signature}; allowed: {METHOD}{extra}")
    _check_others(what, signature, names)
    depths, widths = _stages(what, given)
    divisor = _whole(what, given, "divisor", 8)
    _check_divisor(what, (*([stem] if stem else []), *widths), divisor)
    own = _whole(what, given, "resolution", native_px or NATIVE_PX)
    native = native_px if asked and native_px else own
    task = Task(default_of(signature, "num_classes") or CLASSES, default_of(signature, "in_channels") or CHANNELS)
    spec = NetworkSpec(depths, widths, native, stem)
    call = StagesCall(ref, _options(signature))
    return _tried(UserBaseline(ref, spec, RoundingRules(width_divisor=divisor), task, None, call), given)


def _options(signature: inspect.Signature) -> tuple[str, ...]:
    return tuple(name for name in OPTIONS if name in signature.parameters)


def _check_others(what: str, signature: inspect.Signature, given: Iterable[str]) -> None:
    others = [name for name in required_arguments(signature) if name not in [*given]]
    if others:
        raise BaseError(f"{what} has the parameter {others[0]!r}, which is not given; allowed: a default for it")


def _stages(what: str, given: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(blocks, channels) of every stage, checked."""
    returned = guarded(given.stages, f"{what}: stages() raised", BaseError)
    try:
        pairs = [(int(blocks), int(channels)) for blocks, channels in returned]
    except (TypeError, ValueError):
        pairs = []
    if not pairs or min(map(min, pairs)) < 1:
        said = " ".join(repr(returned)[:100].split())
        raise BaseError(f"{what}: stages() gave {said}; allowed: pairs (blocks, channels), as in [(2, 16), (3, 32)]")
    depths, widths = zip(*pairs, strict=True)
    return depths, widths


def _whole(what: str, owner: Any, name: str, default: int) -> int:
    """An optional attribute that must be a whole number above zero."""
    value = getattr(owner, name, None)
    if value is None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise BaseError(f"{what}: {name} is {value!r}; allowed: a whole number of 1 or more")
    return value


def _check_divisor(what: str, channels: tuple[int, ...], divisor: int) -> None:
    odd = next((count for count in channels if count % divisor), None)
    if odd is not None:
        raise BaseError(
            f"{what}: {odd} channels are no multiple of {divisor}; allowed: channels that are, or another divisor, "
            "as in divisor = 4 beside stages"
        )


def _tried(baseline: UserBaseline, owner: Any) -> UserBaseline:
    """The baseline with its resolutions, after the unscaled network was run on shapes."""
    what, native = baseline.call.what, baseline.spec.resolution_px
    trial = replace(baseline, rules=replace(baseline.rules, min_resolution_px=1))
    try:
        check_output(trial, trial.spec, trial.task)
    except (BaseError, InfeasibleError) as error:
        if px := next((px for px in _other_sizes(native) if _runs(trial, px)), None):
            raise _OtherSizeError(f"{error}; it runs at {px} px: --resolution {px}") from error
        raise
    given = _whole(what, owner, "resolution_step", 0)
    step = given or _step(trial)
    least = _whole(what, owner, "min_resolution", 0)
    if least > native:
        raise BaseError(f"{what}: min_resolution is {least}, over the native {native}; allowed: {native} or less")
    rules = replace(trial.rules, resolution_step_px=step, min_resolution_px=least or _least_px(trial, step))
    return replace(trial, rules=rules)


def check_output(baseline: UserBaseline, spec: NetworkSpec, task: Task) -> None:
    """Refuse an output that is no batch of logits.

    Raises:
        BaseError: the output of one image is not `[1, num_classes]`.
        InfeasibleError: the network does not run.
    """
    amounts = baseline.shapes(spec, task)
    output = amounts.output
    if output != (1, task.num_classes):
        gives = amounts.gives if output is None else f"a tensor of shape {list(output)} for one image"
        call: UserCall = baseline.call
        raise BaseError(
            f"{call.what} {call.where(spec)} gives {gives}; "
            f"allowed: logits of shape [N, num_classes], here [1, {task.num_classes}]"
        )


def _runs(baseline: UserBaseline, px: int) -> bool:
    try:
        check_output(baseline, replace(baseline.spec, resolution_px=px), baseline.task)
    except ScaleSearchError:
        return False
    return True


def _other_sizes(native: int) -> list[int]:
    """Sides at which a network may run that does not at its native one, the nearest first.

    Example:
        >>> _other_sizes(224)[:4], _other_sizes(30)[-2:]
        ([223, 225, 222, 226], [256, 384])
    """
    near = (px for px in range(native - NEAR_PX, native + NEAR_PX + 1) if px > 0)
    return sorted({*near, *USUAL_PX} - {native}, key=lambda px: (abs(px - native), px))


def first_step(native_px: int) -> int:
    """The finest step of the resolution, in pixels, that is tried around a native size."""
    return 2 if native_px <= 64 else 8


def _step(baseline: UserBaseline) -> int:
    """The first of a few doublings at which the network runs one step up and costs something else.

    Patches need whole ones, and a network that cuts what is left over would take several sizes for one.
    """
    native, first = baseline.spec, first_step(baseline.spec.resolution_px)
    own = baseline.macs(native, baseline.task)
    larger = [replace(native, resolution_px=native.resolution_px + first * 2**n) for n in range(STEPS_TRIED)]
    running = [spec for spec in larger if _runs(baseline, spec.resolution_px)]
    other = [spec for spec in running if baseline.macs(spec, baseline.task) != own]
    return next((spec.resolution_px - native.resolution_px for spec in (*other, *running)), first)


def _least_px(baseline: UserBaseline, step: int) -> int:
    """The smallest resolution on the steps below the native one at which the network runs, by bisection."""
    native = baseline.spec.resolution_px
    good, bad = 0, (native - 1) // step + 1
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if _runs(baseline, native - middle * step) else (good, middle)
    return native - good * step
