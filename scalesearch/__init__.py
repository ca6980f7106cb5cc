"""Compound scaling coefficients (depth, width, resolution) for your own network, data and compute budget.

    study = scalesearch.load_study("X")
    network = study.best("2x").build()

The names in `__all__` are the front door of the library (`scalesearch.api`, docs/reference/python.md). They load when
first used, so that `import scalesearch` costs nothing; their types are in `__init__.pyi`.
"""

from importlib import import_module

__version__ = "0.1.0"

__all__ = [
    "Accuracy",
    "FoundNetwork",
    "ScaleSearchError",
    "Study",
    "__version__",
    "atlas",
    "build_network",
    "list_studies",
    "load_study",
]

_HOMES = {
    "Accuracy": "scalesearch.api",
    "FoundNetwork": "scalesearch.api",
    "atlas": "scalesearch.api",
    "ScaleSearchError": "scalesearch.errors",
    "Study": "scalesearch.api",
    "build_network": "scalesearch.api",
    "list_studies": "scalesearch.api",
    "load_study": "scalesearch.api",
}


def __getattr__(name: str) -> object:
    """Load a name of `__all__` when it is first asked for (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    """What tab completion shows: the loaded names and those that wait."""
    return sorted({*globals(), *__all__})
