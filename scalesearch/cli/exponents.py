"""`scalesearch exponents`: how cost answers to each multiplier, and to each pixel."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scalesearch.cli.app import BEFORE, AsJson, command, show, show_json
from scalesearch.cli.shell import completion
from scalesearch.errors import UsageError

if TYPE_CHECKING:
    from scalesearch.networks.base import Baseline, Task

BaseName = Annotated[
    str,
    typer.Argument(metavar="BASE", help="Baseline network, e.g. efficientnet_b0.", autocompletion=completion.baselines),
]
Classes = Annotated[int | None, typer.Option("--classes", help="Outputs of the classifier.")]
NativePx = Annotated[
    int | None, typer.Option("--resolution", help="Native resolution of the baseline, in pixels [its own].")
]
InChannels = Annotated[int | None, typer.Option("--in-channels", help="Channels of the image.")]
FigureFile = Annotated[Path | None, typer.Option("--out", help="Draw it to a file ending in .png, .svg or .pdf.")]


@command(BEFORE, "scalesearch exponents mobilenet_v2 --out exponents.png")
def exponents(
    base: BaseName,
    latency: Annotated[bool, typer.Option("--latency", help="Measure latency too (about a minute).")] = False,
    device: Annotated[str, typer.Option(help="Where latency is measured: auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    batch_size: Annotated[int, typer.Option("--batch-size", help="Images in the batch that is timed.")] = 1,
    resolution: NativePx = None,
    num_classes: Classes = None,
    in_channels: InChannels = None,
    out: FigureFile = None,
    as_json: AsJson = False,
) -> None:
    """Measure how cost answers to depth, width and resolution.

    The exponents, and the image sizes that waste nothing.
    """
    from scalesearch.report.exploration import render_exponents
    from scalesearch.scaling.questions.exponents import explore_exponents

    baseline, task = chosen(base, num_classes, in_channels, resolution)
    timing = None
    if latency:
        from scalesearch.scaling.cost.meter import Conditions
        from scalesearch.training.proxy import resolve_device

        if batch_size < 1:
            raise UsageError(f"--batch-size is {batch_size}; allowed: 1 or more")
        timing = Conditions(str(resolve_device(device)), latency_batch=batch_size)
        sys.stderr.write(f"timing {base}\n")
    report = explore_exponents(baseline, task, timing)
    if out is not None:  # before anything is printed: the file may have a wrong name
        from scalesearch.report.figures import draw_exponents, save_figure

        save_figure(draw_exponents(report), out)
    show_json(report.to_dict()) if as_json else show(render_exponents(report))
    wrote(out, as_json)


def chosen(
    base: str, num_classes: int | None, in_channels: int | None, resolution: int | None = None
) -> tuple[Baseline, Task]:
    """The baseline by its name, with its own resolution and task where nothing else is asked for."""
    from scalesearch.networks.base import ClosedFormBaseline, Task
    from scalesearch.networks.native import asked_baseline

    baseline = asked_baseline(base, resolution)
    own = baseline.task
    if not isinstance(baseline, ClosedFormBaseline):
        sys.stderr.write(f"{base} has no closed form: every network is built to count it, so fewer of them are\n")
    return baseline, Task(
        own.num_classes if num_classes is None else num_classes,
        own.in_channels if in_channels is None else in_channels,
    )


def wrote(path: Path | None, as_json: bool) -> None:
    """Say where the figure is, if there is one; stdout belongs to JSON where that was asked for."""
    if path is not None:
        (sys.stderr if as_json else sys.stdout).write(f"wrote {path}\n")
