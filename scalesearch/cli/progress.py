"""What a user sees while a study runs, on stderr: a live view on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.text import Text
from typing_extensions import override

from scalesearch.report.layout import FittingTable
from scalesearch.report.text import architecture, data_told, image_sides, told_network
from scalesearch.scaling.units import DIMENSIONS, amount, duration, engineering, plural
from scalesearch.study.record import EpochPoint, NetworkRecord, TrainingOutcome, TrialRecord
from scalesearch.training.watch import BudgetPlan, Listener, Preflight, StagesPlan, Watched
from scalesearch.training.workers.base import Job


def _budget_line(plan: BudgetPlan, currency: str) -> str:
    text = (
        f"budget {plan.text}: target {amount(plan.target, currency)}; "
        f"{plural(plan.networks_on_surface, 'distinct network')} on the surface, "
    )
    if plan.open_ended:
        text += f"{plan.trained} to begin with, then where trainings tell most, {plan.trainings} of them at most"
    else:
        text += f"{plan.trained} to train"
    left_out = [
        f"{count} {what}"
        for count, what in ((plan.off_budget, "off the budget"), (plan.infeasible, "over a limit"))
        if count
    ]
    if left_out:
        text += f" (of {plan.planned} planned: {', '.join(left_out)}, kept and not trained)"
    stood_for = {name for name, _ in plan.nearest}
    for names in plan.same:
        told = (f"near {name}" if name in stood_for else name for name in names)
        text += f"; {' and '.join(told)} are one network"
    return text


def _tolerance_lines(plan: BudgetPlan) -> list[str]:
    """How far off the budget networks may be, where that is not the usual, and which references cannot be met."""
    lines = []
    if plan.asked:
        lines.append(
            f"  note: {plan.asked} is so near the baseline's own cost (within {100 * plan.tolerance:g} %) that the "
            "baseline itself meets it: nothing is searched"
        )
    if plan.within and plan.networks_on_surface:
        each = ", ".join(f"{count} within {100 * tolerance:g} %" for tolerance, count in plan.within)
        lines.append(f"  networks that can be built near {plan.text}: {each}; taken: within {100 * plan.tolerance:g} %")
    if plan.within and plan.tolerance > 0.02:
        lines.append("  accuracies are compared at equal cost: what a network costs more is taken off")
    for name, place in plan.nearest:
        where = "/".join(f"{100 * share:.0f}" for share in (place.depth, place.width, place.resolution))
        if name in DIMENSIONS and getattr(place, name) < 1 / 3:
            lines.append(
                f"  no network spends much on {name}: the nearest to all of it, {where} depth/width/resolution, stands "
                f"for it and says little of {name}; which sizes run, and which do not: scalesearch check-base"
            )
            continue
        lines.append(
            f"  no network is all on {name}: the nearest, {where} depth/width/resolution, stands for it"
            if name in DIMENSIONS
            else f"  no network is at {name}: the nearest, {where} depth/width/resolution, stands for it"
        )
    return lines


def preflight_lines(plan: Preflight) -> list[str]:
    """The one screen before training, line by line."""
    data = plan.data
    own = "" if plan.currency == "macs" else f", {amount(plan.baseline_cost, plan.currency)}"
    pixels = f"{plural(data.channels, 'channel')}, {image_sides(data)}"
    lines = [
        f"study {plan.study}: baseline {plan.baseline} at {plan.baseline_px} px (images are {image_sides(data)}), "
        f"{engineering(plan.baseline_macs)} multiply-adds{own}",
        *(f"  warning: {note}" for note in plan.size_notes),
        f"data {data.spec}: {data.train_images} training and {data.val_images} validation images, "
        f"{data.classes} classes, {pixels}",
        *(f"  {label}: {told}" for label, told in data_told(data)),
        *([f"  pixels: {plan.reads}{_first(plan.decoding_seconds)}"] if plan.reads else []),
        *([f"  engine: {plan.engine}"] if plan.engine else []),
        *(line for b in plan.budgets for line in (_budget_line(b, plan.currency), *_tolerance_lines(b))),
    ]
    if not any(budget.planned for budget in plan.budgets):
        lines.append("note: at 1x every coefficient is 1, so the baseline is the only network")
    each = (
        "baseline included"
        if any(b.open_ended for b in plan.budgets)
        else f"{plural(plan.seeds, 'seed')} each, baseline included"
    )
    there = f", {plan.done} of them there" if plan.done else ""
    total = f"{plural(plan.trainings, 'training')} ({each}){there}"
    if plan.short_trainings:
        there = f", {plan.short_done} of them there" if plan.short_done else ""
        lines.append(
            f"about {plural(plan.short_trainings, 'short training')} first, to measure the learning rate: "
            f"{100 * plan.short_part:.0f} % of all{there}"
        )
    place = f"on {plan.device} with {plural(plan.workers, 'worker')}"
    if plan.estimate_seconds is None or plan.training_seconds is None:
        return [*lines, f"{total} {place}; what is finished is kept"]
    each = f"one takes about {duration(plan.training_seconds)}"
    how = "as they took so far" if plan.done else "measured"
    given_up = f"; one of more than {duration(plan.limit_seconds)} is given up" if plan.limit_seconds else ""
    return [*lines, f"{total} {place}: about {duration(plan.estimate_seconds)} ({each}, {how}{given_up})"]


def _first(seconds: float) -> str:
    return f"; that takes about {duration(seconds)} first" if seconds else ""


def stages_lines(plan: StagesPlan) -> list[str]:
    """The one screen before `verify` trains, line by line."""
    lines = [f"study {plan.study}", *plan.lines, *(f"note: {note}" for note in plan.notes)]
    if not plan.trainings:
        return [*lines, "everything that was asked for is there"]
    what = f"{plural(plan.trainings, 'training')} with {plural(plan.workers, 'worker')}"
    return [*lines, f"{what}: about {duration(plan.estimate_seconds)}"]


class Progress(Listener):
    """Counts trainings and remembers the best; the two views draw from it."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.total, self.done, self.earlier, self.seeds = 0, 0, 0, 1
        self._started: float | None = None
        self._estimate: float | None = None
        self._accuracies: dict[int, list[float]] = defaultdict(list)
        self._networks: dict[int, Watched] = {}
        self.short, self._ended = "", 0.0
        self._decoding: tuple[int, float] | None = None

    @override
    def preflight(self, plan: Preflight) -> None:
        self.total, self._estimate = plan.trainings, plan.estimate_seconds
        self.seeds = 1 if any(budget.open_ended for budget in plan.budgets) else plan.seeds
        for line in preflight_lines(plan):
            self.console.print(line, markup=False, highlight=False)

    @override
    def stages(self, plan: StagesPlan) -> None:
        self.total, self._estimate = plan.trainings, plan.estimate_seconds
        for line in stages_lines(plan):
            self.console.print(line, markup=False, highlight=False)

    @override
    def started(self, job: Job, network: Watched) -> None:
        self._networks[job.number] = network
        self.short = ""
        if self._started is None:
            self._started = time.monotonic()

    @override
    def epoch(self, job: Job, point: EpochPoint) -> None:
        pass

    @override
    def finished(self, job: Job, network: Watched, outcome: TrainingOutcome) -> None:
        self.done += 1
        self._ended = time.monotonic()
        if outcome.accuracy is not None:
            self._accuracies[job.number].append(outcome.accuracy)

    @override
    def so_far(self, records: Sequence[TrialRecord]) -> None:
        self.done = self.earlier = sum(record.outcome is not None for record in records)
        self._started = None
        self._accuracies.clear()
        for record in records:
            self._networks[record.network.number] = record.network
            if record.outcome and record.outcome.accuracy is not None:
                self._accuracies[record.network.number].append(record.outcome.accuracy)

    @override
    def note(self, text: str) -> None:
        self.console.print(f"note: {text}", markup=False, highlight=False)

    @override
    def short_trainings(self, done: int, about: int) -> None:
        self.short = f"learning rate: {done} of about {about} short trainings"

    def decoded(self, done: int, total: int) -> str:
        """How far the decoding of a split is, and how long it may take from here."""
        now = time.monotonic()
        if self._decoding is None or done < self._decoding[0]:
            self._decoding = done, now
        first, started = self._decoding
        if done == total:
            self._decoding = None
        left = f", {duration((now - started) / (done - first) * (total - done))} left" if done > first else ""
        return f"decoded {done:,} of {total:,} images{left}"

    def time_left(self) -> str:
        """By the trainings of this run, less what has passed since the last; before its first ends, by the estimate."""
        now = time.monotonic()
        started = now if self._started is None else self._started
        if ran := self.done - self.earlier:
            each = (self._ended - started) / ran
            all_left = each * max(0, self.total - self.done)
            return f"{duration(max(all_left - (now - self._ended), min(all_left, each / 2)))} left"
        return f"about {duration(max(0.0, self._estimate - (now - started)))} left" if self._estimate else ""

    def best(self) -> str:
        """The network with the best mean so far, among those trained on all seeds."""
        means = {t: sum(a) / len(a) for t, a in self._accuracies.items() if len(a) >= self.seeds}
        if not means:
            return ""
        trial = max(means, key=lambda t: means[t])
        network = self._networks[trial]
        if isinstance(network, NetworkRecord) and network.shares:
            told = told_network(network)
        else:
            told = ", ".join(network.names)
        return f"best so far {100 * means[trial]:.2f} %: {told}"


EPOCH_LINES_SECONDS, DECODING_LINES_SECONDS = 60.0, 10.0
"""The least time between two lines about the epochs of one training, and between two about decoding."""


def called(job: Job, network: Watched) -> str:
    """A network by its number and names; one of a full training by its name alone, as it is none of the search's."""
    names = ", ".join(network.names)
    if not isinstance(network, NetworkRecord):
        return names
    return f"network {job.number} ({names})" if names else f"network {job.number}"


class PlainProgress(Progress):
    """One line a finished training, and now and then one of a long training's epoch, for files and pipes."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._told: dict[Job, float] = {}
        self._decoded_at: float | None = None

    @override
    def decoding(self, done: int, total: int) -> None:
        text, now = self.decoded(done, total), time.monotonic()
        if self._decoded_at is None:
            self._decoded_at = now
        elif now - self._decoded_at > DECODING_LINES_SECONDS:
            self._decoded_at = now
            self.console.print(text, markup=False, highlight=False)

    @override
    def started(self, job: Job, network: Watched) -> None:
        super().started(job, network)
        self._told[job] = time.monotonic()

    @override
    def epoch(self, job: Job, point: EpochPoint) -> None:
        if time.monotonic() - self._told.get(job, math.inf) < EPOCH_LINES_SECONDS:
            return
        self._told[job] = time.monotonic()
        network = self._networks[job.number]
        self.console.print(
            f"{called(job, network)}, seed {job.seed}: epoch {point.epoch}, loss {point.train_loss:.3f}, "
            f"validation accuracy {100 * point.accuracy:.2f} %",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )

    @override
    def finished(self, job: Job, network: Watched, outcome: TrainingOutcome) -> None:
        super().finished(job, network, outcome)
        score = outcome.note if outcome.accuracy is None else f"accuracy {100 * outcome.accuracy:.2f} %"
        self.console.print(
            f"[{self.done}/{self.total}] {called(job, network)} at {network.budget}, seed {job.seed}: {score}, "
            f"{outcome.seconds:.1f} s; {self.time_left()}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )


class LiveProgress(Progress):
    """A live view on a terminal. Use as a context manager."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._running: dict[Job, EpochPoint | None] = {}
        self._pictures = ""
        self._live = Live(get_renderable=self._view, console=console, refresh_per_second=4, transient=True)

    @override
    def decoding(self, done: int, total: int) -> None:
        self._live.start()
        self._pictures = self.decoded(done, total) if done < total else ""

    def __enter__(self) -> LiveProgress:
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    @override
    def preflight(self, plan: Preflight) -> None:
        super().preflight(plan)
        self._live.start()

    @override
    def stages(self, plan: StagesPlan) -> None:
        super().stages(plan)
        self._live.start()

    @override
    def started(self, job: Job, network: Watched) -> None:
        super().started(job, network)
        self._running[job] = None

    @override
    def epoch(self, job: Job, point: EpochPoint) -> None:
        if job in self._running:
            self._running[job] = point

    @override
    def finished(self, job: Job, network: Watched, outcome: TrainingOutcome) -> None:
        super().finished(job, network, outcome)
        self._running.pop(job, None)

    def _view(self) -> RenderableType:
        if self._pictures:
            return Text(self._pictures)
        if not self.total:
            return Text("")
        width = min(30, self.console.width - 2)
        bar = ProgressBar(total=max(1, self.total), completed=min(self.done, self.total), width=width)
        head = Text(f"{self.done}/{self.total} trainings  {self.time_left()}")
        rows = FittingTable(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
        for _ in range(4):
            rows.add_column()
        for job, point in self._running.items():
            network = self._networks[job.number]
            state = f"epoch {point.epoch}, accuracy {100 * point.accuracy:.2f} %" if point else "first epoch"
            rows.add_row(called(job, network), Text(architecture(network.spec)), f"seed {job.seed}", state)
        short = [Text(self.short)] if self.short else []
        return Group(bar, head, *short, rows, Text(self.best(), style="green"))
