"""Evidence for what a study found."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scalesearch.cli.app import (
    SEARCH,
    Address,
    AsJson,
    Compile,
    CpusPerTraining,
    Devices,
    Executor,
    GpusPerTraining,
    InsecureRay,
    Logs,
    PerDevice,
    RetryFailed,
    Storage,
    StudiesDir,
    StudyName,
    TimeLimit,
    TrainingTimeout,
    Trust,
    Workers,
    command,
    follow,
    located,
)


@command(SEARCH, "scalesearch verify mine --seeds 5 --fidelity")
def verify(
    study: StudyName,
    budget: Annotated[str | None, typer.Option("--budget", "-b", help="One budget of the study [all].")] = None,
    seeds: Annotated[int, typer.Option(help="New trainings of each network.")] = 5,
    first_seed: Annotated[int | None, typer.Option(help="First of the new seeds [one no search uses].")] = None,
    top: Annotated[int, typer.Option(help="Leaders of the search to train again.")] = 2,
    phi: Annotated[str | None, typer.Option(help="Do the coefficients still lead at larger phi? E.g. 2,3.")] = None,
    fidelity: Annotated[
        bool, typer.Option("--fidelity", help="Is the proxy to be trusted? A longer one, and other learning rates.")
    ] = False,
    rates: Annotated[
        bool | None,
        typer.Option(
            "--rates/--no-rates",
            help="Networks at half and twice their learning rate too [with --fidelity, and where it was measured].",
        ),
    ] = None,
    longer: Annotated[float, typer.Option(help="Epochs of the longer proxy over the study's.")] = 4.0,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Count unreadable images and go on.")] = False,
    retry_failed: RetryFailed = False,
    workers: Workers = None,
    devices: Devices = None,
    per_device: PerDevice = None,
    executor: Executor = None,
    address: Address = None,
    gpus_per_training: GpusPerTraining = None,
    cpus_per_training: CpusPerTraining = None,
    insecure_ray: InsecureRay = False,
    compiled: Compile = None,
    time_limit: TimeLimit = None,
    training_timeout: TrainingTimeout = None,
    log: Logs = None,
    trust: Trust = False,
    studies_dir: StudiesDir = Path("studies"),
    storage: Storage = None,
    as_json: AsJson = False,
) -> None:
    """Check what was found on new seeds and the test split.

    Leaders, references and baseline are trained again; --phi asks whether the coefficients hold for larger networks,
    --fidelity whether the short training can be trusted.
    """
    from scalesearch.cli.run_study import check, means_of
    from scalesearch.scaling.questions.family import parse_phis
    from scalesearch.search.checks import check_same
    from scalesearch.search.verify.plans import VerifyRequest
    from scalesearch.study import load_manifest
    from scalesearch.study.config import parse_cluster
    from scalesearch.study.trust import trust as allow

    ask = VerifyRequest(
        budget=budget,
        top=top,
        seeds=seeds,
        first_seed=first_seed,
        phis=parse_phis(phi) if phi is not None else (),
        fidelity=fidelity,
        rates=rates,
        longer=longer,
    )
    cluster = parse_cluster(executor, address, gpus_per_training, cpus_per_training, insecure_ray)
    means = means_of(workers, devices, per_device, cluster, time_limit, training_timeout)
    paths = located(study, studies_dir, storage)
    follow(log)
    if trust:
        allow(paths)
    if compiled is not None:
        check_same(load_manifest(paths), {"compile": compiled})
    check(
        paths, ask, as_json, means=means,
        skip_bad=skip_bad, retry_failed=retry_failed,
    )  # fmt: skip
