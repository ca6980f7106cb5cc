"""What a network gives that is not a tensor, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

LOGITS = ("logits", "out", "output", "outputs", "pred", "preds", "prediction", "predictions", "scores")
"""Names that outputs of a classifier have, the likeliest first."""
NAMED = 6
"""So many keys are named."""


def no_tensor(output: Any) -> str:
    """What the output is, and what to return instead where one of its parts can be the logits.

    Args:
        output: of one image.

    Example:
        >>> import torch
        >>> no_tensor({"features": torch.zeros(1, 48), "logits": torch.zeros(1, 10)})
        "a dict with keys features, logits: return x['logits']"
        >>> no_tensor((torch.zeros(1, 10), None)), no_tensor(3.0)
        ('a tuple of 2: return x[0]', 'a float')
    """
    kind = type(output).__name__
    fields = _fields(output)
    if fields:
        return _with_cure(f"a {kind} with {_some(list(fields))}", fields, "return x.{}")
    if isinstance(output, Mapping):
        keys = {key: output[key] for key in output}
        return _with_cure(f"a {kind} with keys {_some([str(key) for key in keys])}", keys, "return x[{!r}]")
    if isinstance(output, Sequence) and not isinstance(output, str | bytes):
        return _with_cure(f"a {kind} of {len(output)}", dict(enumerate(output)), "return x[{}]")
    return f"a {kind}"


def _fields(output: Any) -> dict[str, Any]:
    """What can be asked for by a dot: of a dataclass, a named tuple, or an object with logits."""
    names = getattr(output, "__dataclass_fields__", None) or getattr(output, "_fields", None) or ()
    if not names and isinstance(getattr(output, "logits", None), Tensor):
        names = ("logits",)
    values = {str(name): getattr(output, str(name), None) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def _with_cure(what: str, parts: Mapping[Any, Any], cure: str) -> str:
    logits = [key for key, value in parts.items() if isinstance(value, Tensor) and value.ndim == 2]
    named = [key for name in LOGITS for key in logits if str(key).lower() == name]
    best = next(iter([*named, *logits]), None)
    return what if best is None else f"{what}: {cure.format(best)}"


def _some(names: list[str]) -> str:
    return ", ".join(names[:NAMED]) + (f", ... ({len(names)} in all)" if len(names) > NAMED else "")
