"""How a message calls a field of the definition: by its key where a file gave it, by its option on the command line."""

from __future__ import annotations

import re
from collections.abc import Callable

from scalesearch.errors import ConfigError

Spelling = Callable[[str], str]
"""Field (`trials`, `proxy.epochs`) -> what the user calls it."""

NO_OPTION = (
    "proxy.warmup", "proxy.momentum", "proxy.label_smoothing", "proxy.ema", "proxy.clip_norm", "proxy.dropout",
    "proxy.stochastic_depth", "proxy.bn_momentum",
)  # fmt: skip
"""Fields that only a file can give."""

_OTHERWISE = {"budgets": "--budget", "proxy.learning_rate": "--lr", "engine.compile": "--compile"}
"""Options that are not called as their field."""


def key(field: str) -> str:
    """A field as a file spells it."""
    return field


def option(field: str) -> str:
    """A field as the command line of `run` spells it; one that it cannot give keeps its key.

    Example:
        >>> option("skip_bad"), option("proxy.epochs"), option("budgets"), option("proxy.ema"), option("engine.memory")
        ('--skip-bad', '--epochs', '--budget', 'proxy.ema', '--engine memory')
    """
    if field in NO_OPTION:
        return field
    if field.startswith("engine.") and field not in _OTHERWISE:
        return f"--engine {field.removeprefix('engine.')}"
    return _OTHERWISE.get(field) or f"--{field.rpartition('.')[2].replace('_', '-')}"


class FieldsError(ConfigError):
    """Fields that do not go together; the message can be spelled for whoever gave them.

    Args:
        template: the message, with each field in angle brackets: `<pruner>`, `<proxy.epochs>`.
    """

    def __init__(self, template: str, spelled: Spelling = key) -> None:
        self.template = template
        super().__init__(re.sub(r"<([a-z_.]+)>", lambda match: spelled(match[1]), template))
