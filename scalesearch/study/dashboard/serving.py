"""optuna-dashboard on this machine alone: who asks from elsewhere, or wants to change something, is refused."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from typing_extensions import override

from scalesearch.errors import MissingExtraError, StudyError, UsageError
from scalesearch.study.dashboard.view import View
from scalesearch.study.folder import StudyPaths

HOST = "127.0.0.1"
"""Never another: a study may name private data, and the dashboard asks nobody who he is."""
REFRESH_SECONDS = 5.0

Environment = Mapping[str, Any]
Start = Callable[..., Any]
Application = Callable[[Any, Start], Iterable[bytes]]


def address(port: int) -> str:
    """Where a browser finds it.

    Example:
        >>> address(8080)
        'http://127.0.0.1:8080/dashboard'
    """
    return f"http://{HOST}:{port}/dashboard"


def refusal(environment: Environment, port: int) -> str:
    """Why a request is refused; empty for one that looks, made on this machine by this machine's name.

    A page of elsewhere may have its own name lead to this machine; the browser then still says that name.
    """
    if environment.get("HTTP_HOST") not in (f"{HOST}:{port}", f"localhost:{port}"):
        return f"this is for {address(port)} alone"
    if environment.get("REQUEST_METHOD") not in ("GET", "HEAD"):
        return "this is a copy to look at: nothing can be changed here"
    return ""


def guarded(application: Application, port: int) -> Application:
    """An application that answers what `refusal` has nothing against."""

    def answer(environment: Any, start: Start) -> Iterable[bytes]:
        if why := refusal(environment, port):
            start("403 Forbidden", [("Content-Type", "text/plain; charset=utf-8")])
            return [f"{why}\n".encode()]
        return application(environment, start)

    return answer


def check_dashboard(port: int) -> None:
    """Refuse what cannot work, before anything is read.

    Raises:
        MissingExtraError: optuna-dashboard is not installed.
        UsageError: a port that there is not.
    """
    if not 0 <= port <= 65_535:
        raise UsageError(f"--port is {port}; allowed: 1 to 65535, or 0 for any that is free")
    if importlib.util.find_spec("optuna_dashboard") is None:
        raise MissingExtraError("optuna-dashboard", "dashboard", "the dashboard")


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    @override
    def log_message(self, format: str, *args: Any) -> None:
        """A line for every picture of a page helps nobody."""


def listening(application: Application, port: int) -> WSGIServer:
    """A server on this machine alone, which answers once it is told to.

    Raises:
        StudyError: the port is taken.
    """
    try:
        server = make_server(HOST, port, lambda environment, start: [], _Server, _Quiet)
    except OSError as error:
        raise StudyError(
            f"cannot listen on {HOST}:{port}: {error.strerror}; give another --port, or --port 0 for any that is free"
        ) from None
    server.set_app(guarded(application, server.server_port))
    return server


def serve(
    studies: Sequence[StudyPaths],
    port: int,
    ready: Callable[[str, int], None],
    told: Callable[[str], None],
) -> None:
    """Show studies until Ctrl-C; what is trained meanwhile appears within seconds.

    Args:
        port: 0 takes any that is free.
        ready: called with the address and the number of trainings, before the first request is answered.
        told: called with what a user should know.

    Raises:
        StudyError: the port is taken.
        ScaleSearchError: none of the studies can be read.
    """
    from optuna_dashboard import wsgi

    view, ended = View(studies, told), threading.Event()
    count = view.refresh()
    with listening(wsgi(view.storage), port) as server:
        threading.Thread(target=_keep_fresh, args=(view, ended), daemon=True).start()
        try:
            ready(address(server.server_port), count)
            server.serve_forever(poll_interval=0.2)
        finally:
            ended.set()


def _keep_fresh(view: View, ended: threading.Event) -> None:
    while not ended.wait(REFRESH_SECONDS):
        view.refresh()
