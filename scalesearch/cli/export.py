"""`scalesearch export`: the networks of a study for the library that people train with."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scalesearch.cli.app import USE, Places, Storage, StudiesDir, StudyName, Trust, command, located, show
from scalesearch.cli.shell import completion
from scalesearch.cli.shell.completion import one_of

if TYPE_CHECKING:
    from scalesearch.analysis.result import StudyResult
    from scalesearch.study import StudyPaths


@command(USE, "scalesearch export mine --to timm --phi 0,1,2 --out my_family")
def export(
    study: StudyName,
    to: Annotated[
        str,
        typer.Option(
            "--to",
            help="timm, torchvision, keras, transformers, pycls, python, json, onnx, torch-export or hub-folder.",
            autocompletion=one_of(completion.LIBRARIES),
        ),
    ],
    phi: Annotated[
        str | None, typer.Option(help="Compound coefficients: 0..3, or 0,0.5,1 [0,1; 1 for hub-folder].")
    ] = None,
    budget: Annotated[str | None, typer.Option("--budget", "-b", help="One budget of the study [its first].")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder [in the study's exports folder].")] = None,
    check: Annotated[
        bool, typer.Option("--check/--no-check", help="Build it in the library and compare, before it is put in place.")
    ] = True,
    weights: Annotated[
        str | None, typer.Option(help="Trained weights: auto (what train left in the study), or a .safetensors file.")
    ] = None,
    places: Places = False,
    trust: Trust = False,
    studies_dir: StudiesDir = Path("studies"),
    storage: Storage = None,
) -> None:
    """Write the found network and its family for a library.

    With explicit channels, repeats and resolution. phi 0 is the baseline, 1 the network found. The folder holds the
    library's files, card.json and card.md.
    """
    from scalesearch.analysis.load import load_result
    from scalesearch.export import export_study, get_library
    from scalesearch.report.exported import check_table
    from scalesearch.scaling.questions.family import parse_phis
    from scalesearch.study.trust import trust as allow

    get_library(to)
    phis = parse_phis(phi) if phi is not None else None
    paths = located(study, studies_dir, storage)
    if trust:
        allow(paths)
    result = load_result(paths)
    exported = export_study(
        result,
        to,
        out or paths.export(to, _budget(result, budget)),
        budget=budget,
        phis=phis,
        check=check,
        weights=_weights(paths, weights),
        places=places,
        command=_command(study, to, phi, budget, out, check, weights, studies_dir),
    )
    for note in exported.notes:
        sys.stderr.write(f"note: {note}\n")
        sys.stdout.write(f"{note}\n")
    if exported.check:
        show(check_table(exported.card["check"]))
    for name in exported.files:
        sys.stdout.write(f"wrote {exported.folder / name}\n")


def _budget(result: StudyResult, budget: str | None) -> str:
    """The budget that is exported; told where it was not asked for and there are others."""
    from scalesearch.analysis.found import chosen_budget

    text = chosen_budget(result, budget).facts.text
    others = [other.facts.text for other in result.budgets if other.facts.text != text]
    if budget is None and others:
        sys.stderr.write(f"note: exporting budget {text}; the study has {', '.join(others)} too: --budget\n")
    return text


def _weights(paths: StudyPaths, weights: str | None) -> tuple[Path, ...]:
    from scalesearch.export import study_weights

    if weights is None:
        return ()
    return study_weights(paths.trainings, paths.name) if weights == "auto" else (Path(weights),)


def _command(
    study: str,
    to: str,
    phi: str | None,
    budget: str | None,
    out: Path | None,
    check: bool,
    weights: str | None,
    studies_dir: Path,
) -> str:
    """The command as it can be typed again."""
    options = {
        "--to": to,
        "--phi": phi,
        "--budget": budget,
        "--out": out,
        "--weights": weights,
        "--studies-dir": None if studies_dir == Path("studies") else studies_dir,
    }
    given = [f"{name} {shlex.quote(str(value))}" for name, value in options.items() if value is not None]
    return " ".join(["scalesearch export", shlex.quote(study), *given, *([] if check else ["--no-check"])])
