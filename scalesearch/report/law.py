"""Accuracy against cost in words: the laws, the test of each, and what was asked of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from scalesearch.analysis.law.fit import HeldOut, Interval, StrategyLaw
from scalesearch.analysis.law.read import CostReach, Forecast, times
from scalesearch.analysis.law.strategies import ScalingLaw
from scalesearch.report.layout import ByWidth, plain_table
from scalesearch.report.text import NONE
from scalesearch.scaling.units import CURRENCIES, amount

WIDE = 104
"""Columns from which the table shows b, and the interval of a."""
INSIDE = {True: ("inside", "green"), False: ("outside", "bold red"), None: (NONE, "dim")}


def value_with_interval(value: float, interval: Interval | None, scale: float, digits: int) -> str:
    """A number and its 95 % interval, both times `scale`.

    Example:
        >>> value_with_interval(0.95, (0.93, 1.0), 100, 1), value_with_interval(0.4, None, 1, 2)
        ('95.0 (93.0-100.0)', '0.40')
    """
    if interval is None:
        return f"{scale * value:.{digits}f}"
    low, high = (f"{scale * end:.{digits}f}" for end in interval)
    return f"{scale * value:.{digits}f} ({low}-{high})"


def predicted(held: HeldOut) -> str:
    """The prediction with half its band, in percent."""
    if held.ci95 is None:
        return f"{100 * held.predicted:.1f}"
    return f"{100 * held.predicted:.1f} ± {50 * (held.ci95[1] - held.ci95[0]):.1f}"


def law_sentences(law: ScalingLaw) -> tuple[str, ...]:
    """What the laws say, and what must be known to read them; plain text."""
    compared = (law.comparison.words,) if law.comparison else ()
    drift = (law.drift.words,) if law.drift else ()
    return (*compared, _tested(law), *drift, *law.notes)


def _tested(law: ScalingLaw) -> str:
    """How many predictions of the largest cost came true."""
    told = [own.held_out for own in law.strategies if own.held_out.inside is not None]
    if not told:
        return "Whether the laws predict cannot be told: without repeated seeds a prediction has no band."
    inside = sum(1 for held in told if held.inside)
    laws = "law" if len(told) == 1 else "laws"
    return (
        f"The largest cost was predicted from the others: {inside} of {len(told)} {laws} had the measured accuracy "
        "inside the 95 % band."
    )


def render_law(law: ScalingLaw, reaches: Sequence[CostReach] = (), forecasts: Sequence[Forecast] = ()) -> Group:
    """Everything about the laws of a study, for `rich.console.Console.print`."""
    return Group(*_parts(law, reaches, forecasts))


def _parts(law: ScalingLaw, reaches: Sequence[CostReach], forecasts: Sequence[Forecast]) -> Iterator[RenderableType]:
    short = CURRENCIES[law.currency].short
    yield Text(f"{law.study}: accuracy against {short}", style="bold underline")
    yield Text(f"accuracy = a - b * x^-c, x = {short} over the baseline's {amount(law.baseline_cost, law.currency)}")
    yield ByWidth(WIDE, lambda narrow: law_table(law, narrow=narrow))
    for number, sentence in enumerate(law_sentences(law)):
        yield Text(sentence, style="bold" if number == 0 else "")
    for reach in reaches:
        cost = "" if reach.ratio is None else f"{amount(reach.ratio * law.baseline_cost, law.currency)}, "
        yield Text.assemble((f"{reach.strategy} reaches {100 * reach.accuracy:.4g} %: ", "dim"), cost, reach.words)
    for check in law.checks:
        yield Text.assemble((f"{check.name}: ", "dim"), (check.words, "bold red" if check.inside is False else ""))
    for forecast in forecasts:
        yield Text.assemble((f"{forecast.strategy} at {times(forecast.ratio)}: ", "dim"), forecast_words(forecast))
    if law.drift:
        for ratio in dict.fromkeys(forecast.ratio for forecast in forecasts):
            if shares := law.drift.at(ratio):
                yield Text.assemble((f"best shares at {times(ratio)}: ", "dim"), shares.words)


def forecast_words(forecast: Forecast) -> str:
    """The accuracy of a cost, in percent."""
    band = ""
    if forecast.ci95 is not None:
        low, high = (100 * end for end in forecast.ci95)
        plural = "" if forecast.seeds == 1 else "s"
        band = f" (95 % band of the mean of {forecast.seeds} seed{plural}: {low:.1f} to {high:.1f})"
    return f"{100 * forecast.accuracy:.1f} %{band}{', extrapolated' if forecast.extrapolated else ''}"


def law_table(law: ScalingLaw, *, narrow: bool = False) -> Table:
    """One row a strategy: the law, and the largest budget predicted against measured."""
    table = plain_table()
    table.add_column("strategy", no_wrap=True)
    for name in ("a %", *(() if narrow else ("b points",)), "c", "predicted", "measured"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("at", no_wrap=True)
    table.add_column("", no_wrap=True)
    for own in law.strategies:
        table.add_row(own.name, *_numbers(own, narrow), Text(*INSIDE[own.held_out.inside]))
    return table


def _numbers(own: StrategyLaw, narrow: bool) -> Iterator[str]:
    yield value_with_interval(own.law.a_inf, None if narrow else own.a_inf_ci95, 100, 1)
    if not narrow:
        yield value_with_interval(own.law.b, own.b_ci95, 100, 1)
    yield value_with_interval(own.law.c, own.c_ci95, 1, 2)
    yield predicted(own.held_out)
    yield f"{100 * own.held_out.measured:.1f}"
    yield times(own.held_out.ratio)
