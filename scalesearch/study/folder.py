"""A study's folder: the one owner of its file names, and how it is made and locked."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import re
import shlex
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from scalesearch.environment.files import write_atomic, writing_errors
from scalesearch.errors import LockedError, StudyError, TakenError, UsageError
from scalesearch.study.config import StudyConfig, check_study_name, dump_toml, read_toml
from scalesearch.study.manifest import SCHEMA, Manifest, manifest_from_dict, manifest_to_dict
from scalesearch.study.server.address import Server
from scalesearch.study.server.kept import Served, read_served

DEFAULT_ROOT = Path("studies")


@dataclass(frozen=True, slots=True)
class StudyPaths:
    """Every file of one study folder.

    Attributes:
        given: the server that holds the study, where that was said; its folder says it else.
    """

    folder: Path
    given: Server | None = None

    @property
    def name(self) -> str:
        """The study's name."""
        return self.folder.name

    @property
    def definition(self) -> Path:
        """The frozen definition with versions, host and device."""
        return self.folder / "study.toml"

    @property
    def database(self) -> Path:
        """The Optuna storage (SQLite)."""
        return self.folder / "study.db"

    @property
    def backup(self) -> Path:
        """A copy of the storage, as it was when the study stopped last."""
        return self.folder / "study.backup.db"

    @property
    def storage(self) -> Path:
        """On which server the study is; a study that is on none has no such file."""
        return self.folder / "storage.toml"

    @property
    def served(self) -> Served | None:
        """The study in its server; None where its folder has all of it.

        Raises:
            StudyError: the file that says it is damaged.
        """
        kept = read_served(self.storage)
        if kept and self.given:
            return dataclasses.replace(kept, server=self.given)
        return kept or (Served(self.given, self.name) if self.given else None)

    @property
    def there(self) -> bool:
        """Whether the folder is that of a study, whatever of it is lost."""
        return any(_is_file(path) for path in (self.definition, self.database, self.backup, self.storage))

    @property
    def trials(self) -> Path:
        """One row a training."""
        return self.folder / "trials.csv"

    @property
    def evidence(self) -> Path:
        """One row a training of `verify`."""
        return self.folder / "evidence.csv"

    @property
    def earlier(self) -> Path:
        """One row a training that a change of the definition has set aside."""
        return self.folder / "earlier.csv"

    @property
    def result(self) -> Path:
        """The result as JSON."""
        return self.folder / "result.json"

    @property
    def report(self) -> Path:
        """The result as a page."""
        return self.folder / "report.html"

    @property
    def figures(self) -> Path:
        """Folder of the figures."""
        return self.folder / "figures"

    def figure(self, kind: str, budget: str | None = None) -> Path:
        """File of one figure, unless another is asked for; of all budgets, or of one."""
        return self.figures / (f"{kind}.png" if budget is None else f"{kind}_{_safe(budget)}.png")

    @property
    def exports(self) -> Path:
        """Folder of the exports."""
        return self.folder / "exports"

    def export(self, library: str, budget: str) -> Path:
        """Folder of the export of one budget to one library, unless another is asked for."""
        return self.exports / f"{library}_{_safe(budget)}"

    @property
    def trainings(self) -> Path:
        """Folder of the full trainings."""
        return self.folder / "trainings"

    @property
    def lock(self) -> Path:
        """Held by the process that is running the study."""
        return self.folder / ".lock"


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name longer than the file system takes
        return False


def _safe(text: str) -> str:
    """Text as a part of a file's name."""
    return "".join(c if c.isalnum() or c in "._+-" else "_" for c in text)


def default_name(config: StudyConfig) -> str:
    """A study name made from baseline, data, budgets and currency, such as `efficientnet_micro-cifar10-2x`."""
    currency = () if config.cost == "macs" else (config.cost,)
    return _joined(config.base, Path(config.data).name, *config.budgets, *currency)


def joint_name(definition: str, base: str) -> str:
    """The name of the study of one baseline under a definition of several.

    Example:
        >>> joint_name("paper_table3", "timm:mobilenetv2_100")
        'paper_table3-timm_mobilenetv2_100'
    """
    return _joined(definition, base)


def _joined(*parts: str) -> str:
    safe = (re.sub(r"[^A-Za-z0-9._+-]+", "_", part).strip("._-") or "x" for part in parts)
    return _shortened("-".join(safe))


def _shortened(name: str) -> str:
    return name if len(name) <= 56 else f"{name[:40]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def read_manifest(paths: StudyPaths) -> Manifest:
    """Read `study.toml` as it is; `made.load_manifest` knows what the trainings were made by.

    Raises:
        StudyError: the file is damaged, or was written by a version that this one cannot read.
    """
    values = read_toml(paths.definition)
    try:
        if (schema := values["made"]["schema"]) != SCHEMA:
            raise StudyError(
                f"{paths.definition} is of schema {schema!r}, and this version of scalesearch reads {SCHEMA}; install "
                "the version that wrote it"
            )
        return dataclasses.replace(manifest_from_dict(values, str(paths.definition)), study=paths.name)
    except (KeyError, TypeError, ValueError) as error:
        raise StudyError(f"{paths.definition} is not a study that this version can read ({error!r})") from None


def aside(path: Path) -> Path | None:
    """Give a file another name, so that nothing that takes its place ends it; None where there is none.

    Raises:
        StorageError: the folder is read-only.
    """
    if not (path.exists() or path.is_symlink()):
        return None
    names = (f"{path.stem}.before{f'-{number}' if number > 1 else ''}{path.suffix}" for number in range(1, 1_000_000))
    free = next(path.with_name(name) for name in names if not path.with_name(name).exists())
    with writing_errors(path.parent):
        path.rename(free)
    return free


def create_folder(
    paths: StudyPaths, manifest: Manifest, fill: Callable[[StudyPaths], None] = lambda draft: None
) -> None:
    """Make a study folder with its definition; it appears whole or not at all.

    Args:
        fill: called with the folder before it has its name, to put into it what nobody shall see it without.

    Raises:
        StudyError: the name is taken.
        StorageError: the place cannot be written.
    """
    if paths.folder.exists():
        raise taken(paths)
    with writing_errors(paths.folder.parent):
        paths.folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=paths.folder.parent, prefix=f".{paths.name}.") as temporary:
            draft = StudyPaths(Path(temporary) / "draft")
            write_atomic(draft.definition, dump_toml(manifest_to_dict(manifest)))
            fill(draft)
            try:
                draft.folder.rename(paths.folder)
            except OSError:
                if paths.folder.exists():
                    raise taken(paths) from None
                raise


def taken(paths: StudyPaths) -> TakenError:
    """The error for a study name that exists already."""
    return TakenError(
        f"study {paths.name!r} exists already; go on with it by '{resume_command(paths)}', or give another --name"
    )


def resume_command(paths: StudyPaths) -> str:
    """What to type to go on with a study."""
    return f"scalesearch resume {named(paths)}"


def named(paths: StudyPaths) -> str:
    """A study as a command takes it: by its name and what finds it, or by its folder, where that has another name."""
    try:
        return f"{check_study_name(paths.name)}{place_option(paths)}"
    except UsageError:
        return shlex.quote(str(paths.folder.absolute()))


def place_option(paths: StudyPaths) -> str:
    """What a command needs besides the study's name to find it, with a space before it; empty in the usual place."""
    root = paths.folder.parent
    place = "" if root == DEFAULT_ROOT else f" --studies-dir {shlex.quote(str(root))}"
    return f"{place} --storage {shlex.quote(paths.given.url)}" if paths.given and not paths.there else place


@contextlib.contextmanager
def locked(paths: StudyPaths) -> Iterator[None]:
    """Keep every other process from running the study meanwhile; of one in a server also those of other machines.

    Raises:
        LockedError: another process is running it.
        StorageError: the folder or the server cannot be used.
    """
    served = paths.served
    with contextlib.ExitStack() as held:
        if not served or paths.folder.is_dir():
            held.enter_context(_folder_locked(paths))
        if served:
            from scalesearch.study.server.opened import running

            held.enter_context(running(served))
        yield


@contextlib.contextmanager
def _folder_locked(paths: StudyPaths) -> Iterator[None]:
    lock = FileLock(paths.lock)
    with writing_errors(paths.folder):
        try:
            lock.acquire(timeout=0)
        except Timeout:  # an OSError too
            raise LockedError(
                f"study {paths.name!r} is being run by another process; wait for it, or stop it"
            ) from None
    try:
        yield
    finally:
        lock.release()


def is_locked(paths: StudyPaths) -> bool:
    """Whether a process is running the study now, of one in a server on whatever machine.

    Raises:
        StorageError: the server cannot be used.
    """
    if _folder_is_locked(paths):
        return True
    if not (served := paths.served):
        return False
    from scalesearch.study.server.opened import is_run

    return is_run(served)


def _folder_is_locked(paths: StudyPaths) -> bool:
    if not paths.lock.exists():
        return False
    lock = FileLock(paths.lock)
    try:
        lock.acquire(timeout=0)
    except Timeout:  # an OSError too
        return True
    except OSError:  # who cannot write here runs nothing here
        return False
    lock.release()
    return False
