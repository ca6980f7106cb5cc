"""Numbers and networks in words, the same in the terminal and on the page. Plain text: nothing is escaped here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from scalesearch.analysis.leader import Comparison
from scalesearch.analysis.noise import Reliability
from scalesearch.analysis.result import BudgetResult, StudyResult
from scalesearch.analysis.summary import NetworkSummary
from scalesearch.analysis.told import coefficients
from scalesearch.networks.spec import NetworkSpec
from scalesearch.networks.user.line import multiplier
from scalesearch.scaling.units import amount, engineering, is_or_are, over_limit, plural, short_amount
from scalesearch.study.manifest import DataFacts, Manifest
from scalesearch.study.record import NetworkRecord

LEARNED = 0.005
"""An accuracy that is not this far above guessing shows that nothing has been learned."""
NONE = "–"
"""Stands where a number does not exist."""


def listed(values: Sequence[int]) -> str:
    """Whole numbers of the stages, input side first.

    Example:
        >>> listed((1, 2, 2))
        '1 2 2'
    """
    return " ".join(str(value) for value in values)


def architecture(spec: NetworkSpec) -> str:
    """The whole-number network in one line."""
    if spec.unit == "thousandth":
        return call_text(spec)
    return f"{blocks(spec)} blocks, {channels(spec)} channels, {spec.resolution_px} px"


def is_function(network: NetworkRecord) -> bool:
    """Whether the network is one of a user's function of multipliers."""
    return network.spec.unit == "thousandth"


def call_text(spec: NetworkSpec) -> str:
    """What a user's function is called with, to the last digit.

    Example:
        >>> call_text(NetworkSpec((1260,), (1100,), 36, unit="thousandth"))
        'build(depth=1.26, width=1.1, resolution=36)'
    """
    depth, width = multiplier(spec.depths[0]), multiplier(spec.widths[0])
    return f"build(depth={depth}, width={width}, resolution={spec.resolution_px})"


def told_network(network: NetworkRecord) -> str:
    """What a network is known by: its coefficients, after what is passed to a user's function."""
    passed = f"{call_text(network.spec)}: " if is_function(network) else ""
    return f"{passed}{coefficients(network)}"


def image_sides(data: DataFacts) -> str:
    """The size of the images, and how far they differ."""
    least, largest = data.sides
    return f"{data.native_px} px" if least == largest else f"{data.native_px} px, from {least} to {largest}"


def blocks(spec: NetworkSpec) -> str:
    """Blocks of each stage, or the depth multiplier of a network that does not tell its stages."""
    return _multipliers(spec.depths) if spec.unit == "thousandth" else listed(spec.depths)


def channels(spec: NetworkSpec) -> str:
    """Channels of stem, stages and head, or the width multiplier of a network that does not tell its stages."""
    return _multipliers(spec.channels) if spec.unit == "thousandth" else listed(spec.channels)


def layer_heads(specs: Iterable[NetworkSpec]) -> tuple[str, str]:
    """What `blocks` and `channels` are called over a column: multipliers are no blocks.

    Example:
        >>> layer_heads([NetworkSpec((1900,), (1000,), 32, unit="thousandth")])
        ('depth', 'width')
    """
    units = {spec.unit for spec in specs}
    return ("depth", "width") if units == {"thousandth"} else ("blocks", "channels")


def _multipliers(thousandths: Sequence[int]) -> str:
    return " ".join(f"x{multiplier(value):g}" for value in thousandths)


def target(cost: float, manifest: Manifest) -> str:
    """A budget's target in words, with the conditions of a cost that is measured."""
    currency = manifest.config.cost
    if currency == "macs":
        return f"{engineering(cost)} FLOPs (multiply-adds)"
    if currency == "latency":
        return f"{amount(cost, currency)} of {manifest.config.latency_batch} on {manifest.device}"
    if currency == "memory":
        how = "estimated from shapes" if manifest.memory_is_estimate else "measured"
        return f"{amount(cost, currency)} at batch size {manifest.config.proxy.batch_size}, {how}"
    return amount(cost, currency)


def beside(budget: BudgetResult) -> str:
    """The heading of the best against others; with new seeds it is not the whole answer, and must not be read so."""
    return "in the search, against" if budget.proof.verification else "best against"


def cost(network: NetworkRecord) -> str:
    """What the network costs in the currency of the budget; a latency with the spread of its repeats."""
    text = short_amount(network.cost, network.currency)
    if network.currency != "latency" or network.latency_spread is None:
        return text
    return f"{text} ± {50 * network.latency_spread:.0f} %"


def residual(network: NetworkRecord) -> str:
    """Achieved cost over the target, in percent."""
    return f"{100 * network.cost / network.target:.1f}"


def accuracy(summary: NetworkSummary) -> str:
    """Mean and spread over seeds, in percent; nothing for a network that is not ranked."""
    if summary.mean is None or not summary.ranked:
        return NONE
    mean = f"{100 * summary.mean:.2f}"
    return mean if summary.sd is None else f"{mean} ± {100 * summary.sd:.2f}"


def expected(summary: NetworkSummary) -> str:
    """Accuracy that all trainings together let expect, in percent; nothing for a network that is not ranked."""
    return NONE if summary.shrunk is None or not summary.ranked else f"{100 * summary.shrunk:.2f}"


def percent_interval(summary: NetworkSummary) -> str:
    """How sure the mean is, in percent: its 95 % interval, else its spread over seeds."""
    if summary.ci95 is not None:
        return f"95 % interval {100 * summary.ci95[0]:.2f} to {100 * summary.ci95[1]:.2f} %"
    return "one seed: no interval" if summary.sd is None else f"sd {100 * summary.sd:.2f} points"


def score(summary: NetworkSummary) -> str:
    """Mean accuracy with its seeds and interval, in words."""
    if summary.mean is None:
        return NONE
    seeds = plural(len(summary.accuracies), "seed")
    return f"{100 * summary.mean:.2f} % over {seeds} ({percent_interval(summary)})"


def data_told(data: DataFacts) -> list[tuple[str, str]]:
    """What is told of the data beside its counts, with labels; nothing of what was not kept when the study was made."""
    more = f", ... ({data.classes} in all)" if data.classes > len(data.class_names) else ""
    return [
        *([("classes", f"{', '.join(data.class_names)}{more}")] if data.class_names else []),
        *([("splits", data.splits)] if data.splits else []),
        *([("guessing", majority(data))] if data.majority_share else []),
        *(("note", note) for note in data.notes),
        *(("warning", warning) for warning in data.warnings),
    ]


def majority(data: DataFacts) -> str:
    """What accuracies are to be held against."""
    return f"always guessing the largest class gives {100 * data.majority_share:.1f} %"


def score_beside(summary: NetworkSummary, data: DataFacts) -> str:
    """A score with what guessing gives, and a word where it is not more than that."""
    if not data.majority_share or summary.mean is None:
        return score(summary)
    learned = "" if summary.mean > data.majority_share + LEARNED else ": nothing has been learned beyond that"
    return f"{score(summary)}; {majority(data)}{learned}"


def points(difference: float) -> str:
    """A difference of accuracies in percentage points, with its sign; one that rounds to 0 has none below it.

    Example:
        >>> points(0.0123), points(-0.0123), points(-0.00001)
        ('+1.23', '-1.23', '+0.00')
    """
    return f"{100 * difference:+z.2f}"


def points_interval(comparison: Comparison) -> str:
    """The interval of a difference, in points."""
    if comparison.ci95 is None:
        return NONE
    low, high = comparison.ci95
    return f"{points(low)} to {points(high)}"


def note(summary: NetworkSummary) -> str:
    """What the network was proposed as, and why it has no rank."""
    reasons = {
        "failed": f"{summary.failure} on {summary.failed} of {summary.failed + len(summary.accuracies)} seeds",
        "stopped": "given up early",
        "off_budget": "off budget, not trained",
        "infeasible": f"{violations(summary.network)}, not trained",
        "waiting": "not trained yet",
    }
    parts = [*summary.network.names, reasons.get(summary.status, "")]
    return ", ".join(part for part in parts if part)


def violations(network: NetworkRecord) -> str:
    """Which second limits the network breaks, and by how much."""
    return " and ".join(over_limit(name, part) for name, part in network.violations)


def noise_line(reliability: Reliability | None) -> str:
    """What the study can tell apart, with the numbers behind it."""
    if reliability is None:
        return "Not measured, so luck cannot be told from merit: it takes two networks or more, and two seeds or more."
    low, high = reliability.ci95
    return (
        f"ICC {reliability.icc:.2f} (95 % interval {low:.2f} to {high:.2f}). {reliability.words} "
        f"Seed sd {100 * reliability.sd_seed:.2f} points, network sd {100 * reliability.sd_network:.2f} points, "
        f"{reliability.networks} networks."
    )


def progress(result: StudyResult) -> str:
    """How far the study is; empty when it is complete."""
    if result.complete:
        return ""
    planned = result.manifest.most_trainings
    return (
        f"This study is not finished: {result.trainings} of up to {plural(planned, 'training')} "
        f"{is_or_are(result.trainings)} done. All of this may change."
    )


def change_lines(manifest: Manifest) -> tuple[str, ...]:
    """Each change of the definition since the study began, and what became of the trainings before it."""
    return tuple(
        f"{change.at}: {'; '.join(change.what)}; the {plural(change.trainings, 'training')} before "
        f"{is_or_are(change.trainings)} kept in earlier.csv and no part of this result, but for those that this "
        "definition would repeat to the bit"
        for change in manifest.changes
    )
