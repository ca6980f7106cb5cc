"""What a budget can be counted in: names, units and kinds, nothing is measured here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from scalesearch.errors import BudgetError

DIMENSIONS = ("depth", "width", "resolution")
"""What a network is scaled in; the fields of `Shares`, in their order."""


def meets(cost: float, target: float, tolerance: float) -> bool:
    """Whether a cost is within a tolerance of its target, both ends included whatever floating point makes of them.

    Example:
        >>> meets(1020, 1000, 0.02), meets(980, 1000, 0.02), meets(1050, 1000, 0.05), meets(1021, 1000, 0.02)
        (True, True, True, False)
    """
    return abs(cost / target - 1) <= tolerance + 1e-9


CurrencyName = Literal["macs", "params", "activations", "latency", "memory"]
Kind = Literal["count", "seconds", "bytes"]


@dataclass(frozen=True, slots=True)
class Currency:
    """One way to say what a network costs.

    Attributes:
        name: as the command line writes it.
        label: for axes and headings, with the unit.
        short: for columns.
        unit: after a number, in words.
        kind: which units a budget may have.
        counted: whether the cost is a whole number that any machine agrees on; else it is measured or estimated.
    """

    name: CurrencyName
    label: str
    short: str
    unit: str
    kind: Kind
    counted: bool


CURRENCIES: dict[str, Currency] = {
    c.name: c
    for c in (
        Currency("macs", "FLOPs (multiply-adds of one image)", "FLOPs", "multiply-adds", "count", True),
        Currency("params", "Parameters", "params", "parameters", "count", True),
        Currency("activations", "Activations of one image", "activations", "activations", "count", True),
        Currency("latency", "Latency (seconds a batch)", "latency", "a batch", "seconds", False),
        Currency("memory", "Training memory (bytes)", "memory", "of training memory", "bytes", False),
    )
}
"""Every currency by name; the first is the default."""

UNITS: dict[str, tuple[Kind, float]] = {
    **{unit: ("count", size) for unit, size in (("", 1.0), ("k", 1e3), ("m", 1e6), ("g", 1e9), ("t", 1e12))},
    **{unit: ("seconds", size) for unit, size in (("us", 1e-6), ("ms", 1e-3), ("s", 1.0))},
    **{unit: ("bytes", size) for unit, size in (("b", 1.0), ("kb", 1e3), ("mb", 1e6), ("gb", 1e9))},
}
"""Unit of a budget, in small letters -> its kind and size. `800M` are operations, `800MB` bytes, `8ms` seconds."""


def memory_is_estimate(device: str) -> bool:
    """Whether the memory of a training step is estimated from shapes on a device: only CUDA tells its peak."""
    return device.partition(":")[0] != "cuda"


def over_limit(name: str, part: float) -> str:
    """How far a second limit is broken, in words.

    Args:
        name: as a definition writes it, such as `max_params`.
        part: cost / limit - 1.

    Example:
        >>> over_limit("max_params", 0.1234)
        '12.3 % over max-params'
    """
    return f"{100 * part:.1f} % over {name.replace('_', '-')}"


def plural(count: float, noun: str) -> str:
    """A number with what it counts.

    Example:
        >>> plural(1, "seed"), plural(0, "training"), plural(2.5, "new seed"), plural(2, "study")
        ('1 seed', '0 trainings', '2.5 new seeds', '2 studies')
    """
    many = f"{noun[:-1]}ies" if noun.endswith("y") and noun[-2:-1] not in "aeiou" else f"{noun}s"
    return f"{count:.3g} {many}" if count != round(count) else f"{count:.0f} {noun if count == 1 else many}"


def is_or_are(count: int) -> str:
    """The verb that goes with a number."""
    return "is" if count == 1 else "are"


def engineering(value: float) -> str:
    """A count with a unit, three digits.

    Example:
        >>> engineering(385_814_752), engineering(1_204_000), engineering(512)
        ('386M', '1.20M', '512')
    """
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= 0.9995 * size:
            scaled = value / size
            return f"{scaled:.{2 if scaled < 9.995 else 1 if scaled < 99.95 else 0}f}{unit}"
    return f"{value:.0f}"


def duration(seconds: float) -> str:
    """Seconds as people say them.

    Example:
        >>> duration(0.0592), duration(4.31), duration(42), duration(725), duration(8000)
        ('59 ms', '4.3 s', '42 s', '12 min', '2 h 13 min')
    """
    if 0 < seconds < 0.0995:
        return f"{1e3 * seconds:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.2g} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def short_amount(value: float, currency: str) -> str:
    """A cost for a column that says what it is: a bare number for counts.

    Example:
        >>> short_amount(1.14e6, "macs"), short_amount(0.00512, "latency"), short_amount(1.3e9, "memory")
        ('1.14M', '5.12 ms', '1.30 GB')
    """
    kind = CURRENCIES[currency].kind
    if kind == "seconds":
        return f"{1e3 * value:.3g} ms" if value < 1 else f"{value:.3g} s"
    if kind == "bytes":
        number = engineering(value)
        return f"{number.rstrip('TGMk')} {number.lstrip('0123456789.').upper()}B"
    return engineering(value)


def amount(value: float, currency: str) -> str:
    """A cost with its unit.

    Example:
        >>> amount(1.14e6, "macs"), amount(0.00512, "latency"), amount(1.3e9, "memory")
        ('1.14M multiply-adds', '5.12 ms a batch', '1.30 GB of training memory')
    """
    return f"{short_amount(value, currency)} {CURRENCIES[currency].unit}"


ALLOWED_BUDGET = (
    "a multiple of the baseline such as 2x or 0.5x, or an amount: 800M, 1.2G or 4e8 (multiply-adds, parameters, "
    "activations), 5ms (latency), 2GB (memory)"
)


def meant_budget(text: str) -> str:
    """The end of a message on a budget that is none: the multiple that may be meant, and what is allowed.

    Example:
        >>> [meant_budget(text).partition("?")[0] for text in ("2.5", "200%", "x2", "2 times")]
        ["; did you mean '2.5x'", "; did you mean '2x'", "; did you mean '2x'", "; did you mean '2x'"]
        >>> meant_budget("two").startswith("; allowed: a multiple of the baseline")
        True
    """
    number = r"(\d*\.?\d+)"
    found = re.fullmatch(rf"\s*(?:{number}\s*(%|times|\*|\u00d7|fold)?|[x*\u00d7]\s*{number})\s*", text.lower())
    if found is None:
        return f"; allowed: {ALLOWED_BUDGET}"
    value = float(found[1] or found[3]) / (100 if found[2] == "%" else 1)
    return f"; did you mean '{value:.6g}x'? Allowed: {ALLOWED_BUDGET}" if value else f"; allowed: {ALLOWED_BUDGET}"


def check_commas(text: str) -> None:
    """Refuse a list of budgets whose comma is meant as a decimal point.

    Raises:
        BudgetError: two numbers at a comma, the first of them without a unit and smaller than any network.

    Example:
        >>> check_commas("2x,5x"), check_commas("2000000,3000000")
        (None, None)
    """
    found = re.fullmatch(r"\s*(\d{1,3}),(\d+)\s*([a-z]*)\s*", text.lower())
    if found:
        whole, part, unit = found[1], found[2], text.strip()[len(text.strip()) - len(found[3]) :] or "x"
        raise BudgetError(
            f"budget {text!r} has a comma, which parts budgets; did you mean '{whole}.{part}{unit}', or "
            f"'{whole}{unit},{part}{unit}'? Allowed: {ALLOWED_BUDGET}"
        )
