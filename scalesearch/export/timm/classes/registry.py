"""Registration of models."""

import warnings
from collections.abc import Callable

from timm.models import is_model, model_entrypoint, register_model
from torch import nn


def register(builder: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    """timm's `register_model`; a second import of this file replaces its own models without a warning."""
    name = builder.__name__
    with warnings.catch_warnings():
        if is_model(name) and model_entrypoint(name).__code__.co_filename == builder.__code__.co_filename:
            warnings.filterwarnings("ignore", f"Overwriting {name} in registry", UserWarning)
        registered: Callable[..., nn.Module] = register_model(builder)
        return registered
