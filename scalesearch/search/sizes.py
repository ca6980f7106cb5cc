"""What a user should know of sizes before anything trains: of the images, and of what is left of them at the end."""

from __future__ import annotations

from dataclasses import replace

from scalesearch.networks.last_map import LEAST_PX, last_map_px
from scalesearch.search.prepare import Prepared


def size_notes(prepared: Prepared) -> tuple[str, ...]:
    """Images that are enlarged, a native size made from images of several sizes, and feature maps of a pixel or two."""
    return tuple(note for note in (_guessed(prepared), _enlarged(prepared), _small_map(prepared)) if note)


def _planned_px(prepared: Prepared) -> list[int]:
    """Resolutions of the networks that are planned."""
    return [space.key(point.shares).resolution_px for space in prepared.budgets for point in space.known]


def _guessed(prepared: Prepared) -> str:
    data, px = prepared.dataset, prepared.baseline.spec.resolution_px
    least, largest = data.sides
    if not prepared.from_images or least == largest:
        return ""
    near = "" if px == data.native_px else f", as near as {prepared.baseline.name} takes it"
    return (
        f"{px} px is a guess: the median of the images' shorter sides ({data.native_px} px){near}; they "
        f"range from {least} to {largest} px; give --resolution to choose another"
    )


def _enlarged(prepared: Prepared) -> str:
    px, images_px = prepared.baseline.spec.resolution_px, prepared.dataset.native_px
    if px <= images_px:
        largest = max([px, *_planned_px(prepared)])
        return (
            f"networks of up to {largest} px get images of {images_px} px enlarged, which shows nothing more: "
            "resolution is worth less to them than on larger images (a smaller --resolution leaves room for it)"
            if largest > images_px
            else ""
        )
    return (
        f"images of {images_px} px are enlarged to {px} px, which adds cost and shows nothing more; "
        f"{_smaller(prepared, images_px)}"
    )


def _smaller(prepared: Prepared, images_px: int) -> str:
    """What to do about it, or why nothing can be done."""
    least = prepared.baseline.rules.min_resolution_px
    if images_px < least:
        return f"{prepared.baseline.name} needs {least} px or more"
    if prepared.from_images:
        return f"it is the nearest size that {prepared.baseline.name} takes"
    return f"--resolution {images_px} takes them as they are"


def _small_map(prepared: Prepared) -> str:
    baseline, task = prepared.baseline, prepared.task
    native = baseline.spec.resolution_px
    for px in sorted({native, min([native, *_planned_px(prepared)])}):
        side = last_map_px(baseline, replace(baseline.spec, resolution_px=px), task)
        if side is not None and side < LEAST_PX:
            where = "the baseline" if px == native else "the smallest planned network"
            return (
                f"the last feature map of {where}, at {px} px, is {side} x {side}: under {LEAST_PX} x {LEAST_PX} "
                "little is left of where things are; a larger --resolution, or a network that strides less, keeps more"
            )
    return ""
