"""Commands that are suggested after a study, with every option that it was made with."""

from __future__ import annotations

import dataclasses
import functools
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from scalesearch.study.config.definition import StudyConfig, override
from scalesearch.study.config.files import load_definition
from scalesearch.study.config.spelling import NO_OPTION, option
from scalesearch.study.config.tuned import open_values

_FIRST = ("budgets", "base", "data")
"""Fields that every command names."""

_UNITS = {"time_limit": "s", "training_timeout": "s", "max_latency": "s", "max_memory": "B"}


def run_command(config: StudyConfig, study: str = "", **changes: Any) -> str:
    """The command that runs a study's definition with changes, each field given that the default one has otherwise.

    Args:
        study: by name; its file is named where a field has no option.
        changes: as `override` takes them.

    Example:
        >>> run_command(StudyConfig(resolution=24, skip_bad=True, trials=11), trials=8).partition("mini ")[2]
        '--resolution 24 --trials 8 --skip-bad'
    """
    asked = _flat(override(config, **changes))
    usual = _usual(asked["base"])
    left = [name for name, value in asked.items() if name not in _FIRST and value != usual[name]]
    if study and any(name in NO_OPTION for name in left):
        kept = _flat(config)
        left = [name for name, value in asked.items() if name not in _FIRST and value != kept[name]]
        return _command(["run", f"studies/{study}/study.toml"], asked, left)
    if "proxy.optimizer" in left and "proxy.learning_rate" not in left:  # without one it is measured
        left.append("proxy.learning_rate")
    return _command(["run"], asked, [name for name in left if name not in NO_OPTION])


def counting_command(
    command: str, config: StudyConfig, px: int, classes: int, channels: int, out: str, budget: str = ""
) -> str:
    """The command `exponents` or `space` for the baseline of a study as the study has it.

    Args:
        px: of the baseline's images, in pixels.
        classes: outputs of the classifier.
        channels: of an image.
        out: file that is drawn.
        budget: for `space`.

    Example:
        >>> counting_command("space", StudyConfig("my_net:build"), 24, 10, 3, "budget.png", "2x")
        'scalesearch space my_net:build -b 2x --resolution 24 --classes 10 --in-channels 3 --out budget.png'
    """
    words = [command, config.base, *(("-b", budget) if budget else ())]
    words += ["--resolution", str(px)] if px else []
    words += ["--classes", str(classes), "--in-channels", str(channels)]
    if command == "space":
        asked, usual = _flat(config), _flat(StudyConfig())
        for name in ("cost", "rounding", "tolerance"):
            words += _words(name, asked[name]) if asked[name] != usual[name] else []
    return shlex.join(["scalesearch", *words, "--out", out])


def _command(words: list[str], asked: Mapping[str, Any], fields: Iterable[str]) -> str:
    for name in (*_FIRST, *fields):
        words += _words(name, asked[name])
    return shlex.join(["scalesearch", *words])


@functools.cache
def _default() -> StudyConfig:
    return load_definition("default")


def _usual(base: str) -> dict[str, Any]:
    """What `scalesearch run --base BASE` takes where nothing else is said, by field."""
    usual = _default()
    left_open = {} if base == usual.base else open_values(base, {})
    return _flat(override(usual, base=base, **{f"proxy_{name}": value for name, value in left_open.items()}))


def _flat(config: StudyConfig) -> dict[str, Any]:
    """Every field by its key, those of tables with a dot."""
    found: dict[str, Any] = {}
    for name, value in dataclasses.asdict(config).items():
        found |= {f"{name}.{key}": own for key, own in value.items()} if isinstance(value, dict) else {name: value}
    return found


def _words(field: str, value: Any) -> list[str]:
    """The option of a field and its value, as `run` reads them."""
    if field == "skip_bad":
        return ["--skip-bad"] if value else []
    if field == "address" and value != "auto":  # is nobody else's business
        value = "HOST:PORT"
    text = _text(field, value)
    flag, _, switch = option(field).partition(" ")
    return [flag, f"{switch}={text}"] if switch else [flag, text]


def _text(field: str, value: Any) -> str:
    if field == "proxy.learning_rate" and not value:
        return "auto"
    if field == "delta":
        return _number(100 * value)
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return f"{_number(value)}{_UNITS.get(field, '')}" if isinstance(value, float) else str(value)


def _number(value: float) -> str:
    """Without digits that floating point made."""
    return f"{value:.12g}"
