"""The card of an export for people: the content of `card.json` as Markdown."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from scalesearch.export.card import not_recommended
from scalesearch.scaling.units import plural

Card = Mapping[str, Any]

STAGE_COLUMNS = ("stage", "depth", "width", "repeats", "channels", "expand", "kernel", "stride", "macs", "params")


def card_text(card: Card, usage: str) -> str:
    """Everything that `card.json` says and a reader asks for, in the order in which it is asked.

    Args:
        card: the content of `card.json`; `files` may be missing.
        usage: lines of Python that build a network of the export.
    """
    parts = [
        _title(card),
        *_recommended(card),
        _section("Use", f"```python\n{usage}\n```"),
        _section("The line to type", *_lines(card)),
        _section("Networks", _networks(card)),
        _section("Stages", *(_stages(builder) for builder in card["builders"])),
        _section("Evidence", *_evidence(card)),
        _section("Weights", _weights(card)),
        _section("Check", _check(card)),
        _section("How it was made", _origin(card)),
    ]
    return "\n\n".join(parts) + "\n"


def _section(title: str, *paragraphs: str) -> str:
    return "\n\n".join([f"## {title}", *paragraphs])


def _title(card: Card) -> str:
    c = card["coefficients"]
    return (
        f"# {card['name']}\n\n{plain(card['base'])} scaled for the budget {plain(card['budget'])}: alpha "
        f"{c['alpha']:.4g} (depth), beta {c['beta']:.4g} (width), gamma {c['gamma']:.4g} (resolution) at phi 1. "
        f"For {card['library']}, with {card['task']['num_classes']} classes and "
        f"{plural(card['task']['in_channels'], 'input channel')}."
    )


def _recommended(card: Card) -> Iterator[str]:
    """A warning at the top, where the network is not what is recommended."""
    if warning := not_recommended(card["answer"]):
        yield f"**Not recommended as it is.** {plain(warning)}"


def _lines(card: Card) -> Iterator[str]:
    """What makes every network without this export."""
    calls = "\n".join(f"{builder['name']} = {builder['call']}" for builder in card["builders"])
    yield f"```python\n{card['needs']}\n\n{calls}\n```"
    code = card["user_code"]
    if not code:
        return
    known = f"SHA-256 of its syntax tree begins `{code['code']}`" if code["code"] else "its source cannot be read"
    then = f"; it was `{code['code_in_study']}` when the study was made" if code["changed"] else ""
    yield (
        f"The network is made by `{code['attribute']}` of your own module `{code['module']}`, which must be on the "
        f"path: it is not in this folder. {known[0].upper()}{known[1:]}{then}."
    )


def _networks(card: Card) -> str:
    rows = [
        (
            f"`{b['name']}`", f"{b['phi']:g}", b["mark"], f"{b['resolution_px']}", f"{b['macs']:,}",
            f"{b['params']:,}", f"{b['activations']:,}",
        )
        for b in card["builders"]
    ]  # fmt: skip
    table = markdown_table(("name", "phi", "known", "px", "multiply-adds", "parameters", "activations"), rows)
    ranges = "; ".join(f"{name} {low:.4g} to {high:.4g}" for name, (low, high) in card["ranges"].items())
    target = card["target_macs"]
    aim = f"Target at phi 1: {target:,} multiply-adds within {100 * card['tolerance']:g} %. " if target else ""
    notes = [f"{aim}Coefficients that round to the network at phi 1: {ranges}."]
    if any(b["extrapolated"] for b in card["builders"]):
        notes.append("Extrapolated: nothing was searched at that cost, or verified there.")
    return "\n\n".join([table, *notes])


def _stages(builder: Card) -> str:
    known = {key for stage in builder["stages"] for key in stage}
    keys = [key for key in STAGE_COLUMNS if key in known]
    rows = [[_cell(stage.get(key, "")) for key in keys] for stage in builder["stages"]]
    name = f"### {builder['name']}, {builder['resolution_px']} px"
    return f"{name}\n\n{markdown_table(keys, rows)}"


def _cell(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _evidence(card: Card) -> Iterator[str]:
    accuracy = card["accuracy"]
    interval = accuracy["ci95"]
    between = f" (95 %: {100 * interval[0]:.2f} to {100 * interval[1]:.2f})" if interval else ""
    yield (
        f"{accuracy['what'].capitalize()} of the network at phi 1: {100 * accuracy['mean']:.2f} %{between}, seeds "
        f"{', '.join(map(str, accuracy['seeds']))}; the best of {plural(card['networks_compared'], 'network')} "
        "compared."
    )
    if card["verdict"]:
        rows = [(one["against"], one["words"], _points(one)) for one in card["verdict"]]
        yield markdown_table(("against", "verdict", "difference in points (95 %)"), rows)
    yield plain(card["answer"]["todo"])
    verification = card["verification"]
    yield f"On new seeds: {plain(verification['words'])}" if verification else "Not verified on new seeds."
    yield plain(" ".join(card["larger_phi"]))
    if not card["study_complete"]:
        yield "The study was not finished when this was written."


def _points(comparison: Card) -> str:
    interval = comparison["ci95"]
    between = f" ({100 * interval[0]:+z.2f} to {100 * interval[1]:+z.2f})" if interval else ""
    return f"{100 * comparison['difference']:+z.2f}{between}" if comparison["difference"] is not None else ""


def _weights(card: Card) -> str:
    if not card["weights"]:
        return "None are trained: the weights of every network are random."
    rows = [
        (f"`{one['name']}`", str(one["seed"]), f"{one['scored']}: {100 * one['accuracy']:.2f} %", one["sha256"][:16])
        for one in card["weights"]
    ]
    return markdown_table(("network", "seed", "accuracy", "SHA-256 of the source begins"), rows)


def _check(card: Card) -> str:
    check = card["check"]
    if not check:
        return "Not checked: nothing was built in the library."
    rows = [
        (f"`{one['name']}`", _count(one["params"]), _count(one["macs"]), _gap(one["gap"]), plain(one["note"]))
        for one in check["builders"]
    ]
    table = markdown_table(("network", "parameters", "multiply-adds", "largest difference of a logit", "note"), rows)
    return f"Built by {check['library']} {check['version']} in a fresh process, and equal to the study's:\n\n{table}"


def _count(value: int | None) -> str:
    return "not counted" if value is None else f"{value:,}"


def _gap(value: float | None) -> str:
    return "not compared" if value is None else f"{value:.2g}"


def _origin(card: Card) -> str:
    data, proxy = card["data"], card["proxy"]
    notes = "".join(f" {plain(note)}." for note in data["notes"])
    versions = card["versions"] | {f"{name} (export)": v for name, v in card["export"]["versions"].items()}
    commands = [card["command"], *([card["export"]["command"]] if card["export"]["command"] else [])]
    return "\n\n".join(
        [
            f"Study {plain(card['study'])}, {plain(card['created_at'])}, on {plain(card['device'])}.",
            "\n".join(f"    {' '.join(command.split())}" for command in commands),
            f"Data: {plain(data['spec'])}, {data['train_images']:,} training and {data['val_images']:,} validation "
            f"images, {data['classes']} classes, fingerprint `{data['fingerprint'][:16]}`.{notes}",
            f"Proxy training: `{json.dumps(proxy)}`",
            f"Versions: {plain(', '.join(f'{name} {version}' for name, version in versions.items()))}.",
        ]
    )


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows between bars."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def plain(text: str) -> str:
    """Text of others on one line, with what Markdown and HTML would read as markup taken literally."""
    line = " ".join(text.split())
    for mark in ("\\", "`", "*", "_", "[", "]", "<", ">", "#"):
        line = line.replace(mark, f"\\{mark}")
    return line
