"""A connection to a cluster, or a Ray of this command's own; the only module that loads Ray."""

from __future__ import annotations

import contextlib
import importlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from scalesearch.environment.waiting import doing, tell
from scalesearch.errors import DeviceError, MissingExtraError, ScaleSearchError
from scalesearch.study.config.cluster import host_and_port
from scalesearch.training.workers.local import interrupts_held
from scalesearch.training.workers.machine import SHORT_PLACES, usable_cores
from scalesearch.training.workers.on_ray.request import ClusterRequest

ANSWER_SECONDS = 5.0
"""What an address gets to take a connection."""

CHECK_SECONDS = 60.0
"""What a cluster gets to say that it is well, and that the token is its own."""

OBJECT_STORE_BYTES = 512 * 2**20
"""Room of an own Ray for setups, the images of a small dataset among them; what is more goes to the disk."""

QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS": "0"}

PRIORITY = {"RAY_worker_niceness": "0"}
"""Ray's own default lets its workers give way to every other process of the machine (15), which starves trainings."""

TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
"""What Ray reads once, so it is one for this process."""


def load_ray() -> ModuleType:
    """Ray itself.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise MissingExtraError("ray", "ray", "--executor ray") from error


@contextlib.contextmanager
def connected(request: ClusterRequest) -> Iterator[ModuleType]:
    """Ray, connected; what was started is ended.

    Raises:
        ScaleSearchError: nobody answers there, the token is another, or the cluster asks for none.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    with contextlib.ExitStack() as stack:
        if request.address is None:
            if os.environ.get("RAY_ADDRESS"):
                tell("RAY_ADDRESS names a cluster, and a Ray of this machine alone is started; --address auto uses it")
            options = stack.enter_context(_own(request))
        else:
            options = {"address": _checked_address(request.address, insecure=request.insecure)}
        ray = load_ray()
        stack.callback(_shut_down, ray)
        with doing("starting Ray" if request.address is None else "connecting to the cluster"), interrupts_held():
            _init(ray, options)
        yield ray


@contextlib.contextmanager
def _own(request: ClusterRequest) -> Iterator[dict[str, Any]]:
    """How a Ray is started on this machine that nobody else can use: its ports are open, and ask for a token."""
    before = {name: os.environ.get(name) for name in (*TOKEN, *PRIORITY)}
    os.environ.update({**PRIORITY, **os.environ, **TOKEN})
    place = next((place for place in SHORT_PLACES if os.access(place, os.W_OK | os.X_OK)), None)
    folder = tempfile.mkdtemp(prefix="scalesearch-ray-", dir=place)  # its sockets need a short name
    cores = usable_cores() if request.most is None else max(1, round(request.most * request.cpus + 0.49))
    try:
        yield {
            "address": "local",
            "num_cpus": cores,
            "include_dashboard": False,
            "object_store_memory": OBJECT_STORE_BYTES,
            "_temp_dir": folder,
        }
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _init(ray: ModuleType, options: dict[str, Any]) -> None:
    """Connect. Ray takes SIGTERM for itself, which ends a study in order: it is given back."""
    _read_token()
    in_main = threading.current_thread() is threading.main_thread()
    terminated = signal.getsignal(signal.SIGTERM)
    _silence()
    try:
        ray.init(log_to_driver=False, logging_level="ERROR", **options)
    except (ConnectionError, RuntimeError, ValueError, OSError, ray.exceptions.RayError) as error:
        if ray.is_initialized():
            ray.shutdown()
        said = str(error).strip().partition("\n")[0]
        raise ScaleSearchError(
            f"cannot use Ray ({type(error).__name__}: {said}); an address wants this machine to be a node of the "
            "cluster: ray start --address HOST:PORT"
            if options["address"] != "local"
            else f"cannot start Ray on this machine ({type(error).__name__}: {said})"
        ) from error
    finally:
        if in_main:
            signal.signal(signal.SIGTERM, terminated)


def _read_token() -> None:
    """Let Ray read again what it has read when it was imported, where that was before."""
    _raylet = importlib.import_module("ray._raylet")
    _raylet.Config.initialize("")
    _raylet.AuthenticationTokenLoader.instance().reset_cache()


def _silence() -> None:
    """What nodes report of workers that end goes to stdout, which is for results; the driver tells it in its words."""
    from ray._private import worker

    if hasattr(worker, "print_to_stdstream"):
        worker.print_to_stdstream = lambda *_, **__: None


def _shut_down(ray: ModuleType) -> None:
    with contextlib.suppress(Exception):  # the cluster may be gone
        ray.shutdown()


def _checked_address(address: str, *, insecure: bool) -> str:
    """The address of a cluster that answers, and that is used by a token.

    Raises:
        ScaleSearchError: it does not answer, asks for no token, or has another.
    """
    _check_token(insecure)
    load_ray()
    found = _found() if address == "auto" else address
    place = host_and_port(found)
    try:
        if place is not None:
            socket.create_connection(place, timeout=ANSWER_SECONDS).close()
    except OSError as error:
        raise ScaleSearchError(
            f"nobody answers at {found} ({error.strerror or error}); allowed: the address that `ray start --head` has "
            "told, such as 10.0.0.1:6379"
        ) from error
    with doing(f"asking the cluster at {found}"):
        _check_health(found)
    return found


def _check_token(insecure: bool) -> None:
    if os.environ.get("RAY_AUTH_MODE", "").lower() == "token":
        named = any(os.environ.get(name) for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"))
        if not named and not (Path.home() / ".ray" / "auth_token").exists():
            raise ScaleSearchError(
                "RAY_AUTH_MODE is token, and there is no token: set RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH to that with "
                "which the cluster's nodes were started"
            )
        return
    if not insecure:
        raise ScaleSearchError(
            "a cluster without RAY_AUTH_MODE=token runs what anybody sends it; set RAY_AUTH_MODE=token and one "
            "RAY_AUTH_TOKEN (or RAY_AUTH_TOKEN_PATH) for all its nodes and for this command, or accept that by "
            "--insecure-ray"
        )
    os.environ["RAY_AUTH_MODE"] = "disabled"
    tell("--insecure-ray: whoever reaches this cluster can run anything on it, as you")


def _found() -> str:
    """The address that `auto` means.

    Raises:
        DeviceError: no cluster is known on this machine.
    """
    from ray._private import utils

    found = os.environ.get("RAY_ADDRESS") or utils.read_ray_address()
    if not found or "://" in found:
        raise DeviceError(
            "no Ray cluster runs on this machine (--address auto: RAY_ADDRESS, or the last `ray start` here); allowed: "
            "--address HOST:PORT, or none for a Ray of this command's own"
        )
    return str(found)


def _check_health(address: str) -> None:
    """Ask the cluster in another process, which can be ended: connecting by a wrong token is tried for 20 s, aloud."""
    asks = [sys.executable, "-m", "ray.scripts.scripts", "health-check", "--address", address]
    asked = subprocess.Popen(asks, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    timer = threading.Timer(CHECK_SECONDS, asked.kill)
    timer.start()
    said = ""
    try:
        for said in asked.stderr or ():
            if "InvalidAuthToken" in said:
                raise ScaleSearchError(
                    f"the cluster at {address} has another token, or none is given; allowed: the RAY_AUTH_TOKEN (or "
                    "the file RAY_AUTH_TOKEN_PATH) with which its nodes were started"
                )
        if asked.wait() != 0:
            raise ScaleSearchError(
                f"what answers at {address} is no Ray cluster that is well: {said.strip() or 'no word'}"
            )
    finally:
        timer.cancel()
        asked.kill()
        asked.wait()
        if asked.stderr:
            asked.stderr.close()
