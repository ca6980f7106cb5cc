"""The site that a definition names, for as long as a command needs it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from scalesearch.errors import UsageError
from scalesearch.study.config import StudyConfig
from scalesearch.training.workers.local import LocalExecutor
from scalesearch.training.workers.site import MakeExecutor, Site, ThisMachine


@contextlib.contextmanager
def site_of(
    config: StudyConfig, *, insecure: bool = False, make_executor: MakeExecutor | None = None
) -> Iterator[Site]:
    """Where the trainings of a definition run; a cluster is connected to when it is first asked for anything.

    Args:
        insecure: use a cluster that asks nobody for a token.
        make_executor: in place of the definition's executor.

    Raises:
        UsageError: `insecure` without a cluster.
        MissingExtraError: Ray is asked for and not installed.
    """
    if insecure and config.executor != "ray":
        raise UsageError("--insecure-ray is for a cluster; allowed with it: --executor ray")
    if make_executor is not None or config.executor == "local":
        yield ThisMachine(make_executor or LocalExecutor)
        return
    from scalesearch.training.workers.on_ray.cluster import Cluster
    from scalesearch.training.workers.on_ray.request import request_of

    with contextlib.closing(Cluster(request_of(config, insecure=insecure))) as cluster:
        yield cluster
