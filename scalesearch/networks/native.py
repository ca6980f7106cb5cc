"""The native resolution of a baseline: the one that was asked for, the images' own, or the network's.

A network made for larger images than there are would see them enlarged, at many times the cost and with nothing
more to see; so the images' own size is native there. A network made for smaller images keeps its own, which is what
leaves room to grow.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from scalesearch.errors import ScaleSearchError, UsageError
from scalesearch.networks.base import Baseline
from scalesearch.networks.registry import get_baseline

FREE_STEP_PX = 8
"""Families that move in larger steps take whole patches, or whole pixels of their last stage; the others any size."""

SMALL_PX, SMALL_STEP_PX = 64, 4
"""Up to this native size, steps of 8 px would leave two or three sizes on a budget."""


@dataclass(frozen=True, slots=True)
class Native:
    """A baseline at its native resolution.

    Attributes:
        from_images: whether the resolution is the images' own, as near as the network takes it.
    """

    baseline: Baseline
    from_images: bool


def native_baseline(name: str, *, resolution_px: int = 0, images_px: int = 0) -> Native:
    """The baseline called `name` at the resolution that is right for it.

    Args:
        resolution_px: asked for; 0 leaves the choice to the images and the network.
        images_px: side of the images; 0 where there are none.

    Raises:
        UsageError: `resolution_px` is under the network's least, or between its steps.
        ScaleSearchError: as `get_baseline`.

    Example:
        >>> [native_baseline("resnet18", images_px=px).baseline.spec.resolution_px for px in (20, 32, 64, 224, 500)]
        [32, 32, 64, 224, 224]
    """
    if names_code(name):
        return _user(name, resolution_px, images_px)
    baseline = get_baseline(name)
    if resolution_px:
        _check_asked(baseline, resolution_px)
        return Native(_at(baseline, resolution_px), from_images=False)
    if not images_px or images_px >= baseline.spec.resolution_px:
        return Native(baseline, from_images=False)
    return Native(_at(baseline, nearest_px(baseline, images_px)), from_images=True)


def asked_baseline(name: str, resolution_px: int | None) -> Baseline:
    """The baseline at the resolution that was asked for; None takes its own.

    Raises:
        UsageError: a resolution under 1, or as `native_baseline`.
    """
    if resolution_px is not None and resolution_px < 1:
        raise UsageError(f"--resolution is {resolution_px}; allowed: 1 or more")
    return native_baseline(name, resolution_px=resolution_px or 0).baseline


def made_baseline(name: str, baseline_px: int, images_px: int) -> Baseline:
    """The baseline of a study that exists.

    Args:
        baseline_px: as the study keeps it; 0 in studies made before it was kept, which took the network's own.
        images_px: side of the study's images.

    Raises:
        ScaleSearchError: as `native_baseline`.
    """
    return native_baseline(name, resolution_px=baseline_px).baseline if baseline_px else get_baseline(name, images_px)


def nearest_px(baseline: Baseline, images_px: int) -> int:
    """The resolution nearest to the images' that the network takes; of two equally near ones the smaller.

    Example:
        >>> vit = get_baseline("vit_tiny_patch16_224")
        >>> nearest_px(vit, 64), nearest_px(vit, 72), nearest_px(vit, 73), nearest_px(vit, 8)
        (64, 64, 80, 32)
    """
    unit, native = _unit(baseline), baseline.spec.resolution_px
    steps = -((images_px - native) // -unit) if (images_px - native) % unit > unit / 2 else (images_px - native) // unit
    px = native + steps * unit
    while px < baseline.rules.min_resolution_px:
        px += unit
    return px


def names_code(name: str) -> bool:
    """Whether a baseline is a user's own code, `package.module:attribute`, which is imported to be used.

    Example:
        >>> names_code("my_net:build"), names_code("timm:resnet18"), names_code("resnet18")
        (True, False, False)
    """
    return ":" in name and not name.startswith("timm:")


def _user(name: str, resolution_px: int, images_px: int) -> Native:
    """A user's network, which is inspected around its native resolution."""
    from scalesearch.networks.user.baseline import user_baseline

    if not resolution_px:
        baseline = get_baseline(name, images_px or None)
        return Native(baseline, from_images=baseline.spec.resolution_px == images_px)
    return Native(user_baseline(name, resolution_px, asked=True), from_images=False)


def _unit(baseline: Baseline) -> int:
    """Pixels that the network takes as a whole."""
    step = baseline.rules.resolution_step_px
    return step if step > FREE_STEP_PX else 1


def _check_asked(baseline: Baseline, px: int) -> None:
    least, unit = baseline.rules.min_resolution_px, _unit(baseline)
    if px < least:
        raise UsageError(f"--resolution {px} is too small for {baseline.name}; allowed: {least} or more")
    beyond = (px - baseline.spec.resolution_px) % unit
    if beyond:
        lower = px - beyond
        allowed = f"{lower} or {lower + unit}" if lower >= least else f"{lower + unit}"
        raise UsageError(
            f"--resolution {px} is between the steps of {baseline.name}, which takes images in steps of {unit} px; "
            f"allowed: {allowed}"
        )


def _at(baseline: Baseline, px: int) -> Baseline:
    """The baseline with another native resolution; itself at its own."""
    if px == baseline.spec.resolution_px:
        return baseline
    rules = baseline.rules
    if px <= SMALL_PX and rules.resolution_step_px <= FREE_STEP_PX:
        rules = replace(rules, resolution_step_px=min(rules.resolution_step_px, SMALL_STEP_PX))
    moved = replace(baseline, spec=replace(baseline.spec, resolution_px=px), rules=rules)
    try:
        moved.macs(moved.spec, moved.task)
    except ScaleSearchError as error:
        raise UsageError(f"{baseline.name} does not run at {px} px: {error}; give another --resolution") from error
    return moved
