"""One Python module that builds the network found, with torch and nothing else."""

from __future__ import annotations

import dataclasses
import pprint
import textwrap
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from scalesearch.errors import UsageError
from scalesearch.export.source import collect, sources
from scalesearch.record import spec_from_dict

if TYPE_CHECKING:
    from scalesearch.networks.configured import ConfiguredBaseline

_DOCSTRING = '''"""{base}, scaled to {budget}: {macs:,} multiply-adds at {px} px, {params:,} parameters.

Found by scalesearch {version} in the study {study} with:

    {command}

alpha {alpha:.4g}, beta {beta:.4g}, gamma {gamma:.4g}; {evidence}
{advice}

The accuracy is that of a short training on {data}; `CARD` has the whole record.
This file needs torch alone:

    network = build(num_classes=1000, in_channels=3)
    logits = network(images)  # [N, in_channels, {px}, {px}] to [N, num_classes]
"""
'''

_BUILD = '''
def build(
    num_classes: int = {num_classes}, in_channels: int = {in_channels}{parameters},
) -> {module}:
    """The network, with new random weights from torch's global generator.

    Args:
        num_classes: outputs of the classifier.
        in_channels: channels of the input image.{meanings}
    """
    config = dataclasses.replace(CONFIG{given})
    return {module}(config, SPEC, Task(num_classes, in_channels))


if __name__ == "__main__":
    network = build().eval()
    images = torch.zeros(1, {in_channels}, RESOLUTION_PX, RESOLUTION_PX)
    with torch.no_grad():
        logits = network(images)
    print(f"{{sum(p.numel() for p in network.parameters()):,}} parameters")
    print(f"{{tuple(images.shape)}} -> {{tuple(logits.shape)}}")
'''


_RATES = {
    "dropout": "rate before the classifier, 0 to 1.",
    "stochastic_depth": "rate that the deepest blocks approach, 0 to 1.",
}


def python_module(card: Mapping[str, Any]) -> str:
    """Source of a module with `build`, `RESOLUTION_PX` and `CARD`, made of this package's own definitions.

    Args:
        card: from `network_card`.

    Raises:
        UnknownNameError: a baseline that is not known here.
        UsageError: a baseline whose source is not scalesearch's own.
    """
    baseline, spec = _baseline(card["base"]), spec_from_dict(card["network"])
    found = collect(
        (
            ("scalesearch.spec", "NetworkSpec"),
            ("scalesearch.networks.base", "Task"),
            (type(baseline.config).__module__, type(baseline.config).__name__),
            baseline.MODULE,
        )
    )
    parts = [
        _docstring(card),
        "from __future__ import annotations\n",
        _import_block({*found.imports, "import dataclasses", "import torch"}),
        f"CARD = {pprint.pformat(dict(card), width=100, sort_dicts=False)}",
        f'"""What was found, how, and how sure it is."""\n\nRESOLUTION_PX = {spec.resolution_px}\n\n',
        *(f"{text}\n\n" for text in sources(found)),
        f"CONFIG = {_written(baseline.config_of(spec))}\n\nSPEC = {_written(spec)}\n",
        _build(baseline, card["data"]),
    ]
    return "\n".join(parts)


def _build(baseline: ConfiguredBaseline, data: Mapping[str, Any]) -> str:
    """The function `build`, with the rates that the family's config has."""
    rates = {name: text for name, text in _RATES.items() if hasattr(baseline.config, name)}
    parameters = "".join(f",\n    {name}: float = CONFIG.{name}" for name in rates)
    return _BUILD.format(
        num_classes=data["classes"],
        in_channels=data["channels"],
        module=baseline.MODULE[1],
        parameters=f", *{parameters}" if rates else "",
        meanings="".join(f"\n        {name}: {text}" for name, text in rates.items()),
        given="".join(f", {name}={name}" for name in rates),
    )


def _import_block(lines: Iterable[str]) -> str:
    """Imports as people order them: plain before `from`, the standard library before torch."""
    of_torch = {line for line in lines if line.split()[1].split(".")[0] == "torch"}
    groups = (set(lines) - of_torch, of_torch)
    return "\n".join(
        "\n".join(sorted(group, key=lambda line: (line.startswith("from"), line))) + "\n" for group in groups
    )


def _baseline(name: str) -> ConfiguredBaseline:
    from scalesearch.networks.configured import ConfiguredBaseline
    from scalesearch.networks.registry import get_baseline

    baseline = None if ":" in name else get_baseline(name)
    if not isinstance(baseline, ConfiguredBaseline):
        raise UsageError(
            f"baseline {name!r} cannot be written as a python module, because its source is not scalesearch's own; "
            "allowed: --to json, which has every channel and repeat"
        )
    return baseline


def _docstring(card: Mapping[str, Any]) -> str:
    accuracy, data = card["accuracy"], card["data"]
    spread = "" if accuracy["sd"] is None else f" (sd {100 * accuracy['sd']:.2f} points)"
    evidence = f"validation accuracy {100 * accuracy['mean']:.2f} % over {len(accuracy['seeds'])} seed(s){spread}."
    text = {
        **{name: card[name] for name in ("base", "budget", "study", "command", "advice")},
        "version": card["versions"].get("scalesearch", ""),
        "data": data["spec"],
    }
    safe = {name: " ".join(str(value).replace("\\", "\\\\").replace('"', "'").split()) for name, value in text.items()}
    safe["advice"] = textwrap.fill(safe["advice"], 110, break_long_words=False)
    return _DOCSTRING.format(
        **safe, **card["coefficients"], evidence=evidence, macs=card["macs"], params=card["params"],
        px=card["network"]["resolution_px"],
    )  # fmt: skip


def _written(value: Any) -> str:
    """A frozen dataclass as the code that makes it, one field a line, and so the rows of a table."""

    def field(content: Any) -> str:
        rows = isinstance(content, tuple) and content and dataclasses.is_dataclass(content[0])
        return "(\n" + "".join(f"        {row!r},\n" for row in content) + "    )" if rows else repr(content)

    fields = (f"    {f.name}={field(getattr(value, f.name))},\n" for f in dataclasses.fields(value))
    return f"{type(value).__name__}(\n{''.join(fields)})"
