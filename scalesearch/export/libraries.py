"""Every target of `--to`, by name; each is loaded when it is asked for, and no other."""

from __future__ import annotations

import importlib

from scalesearch.errors import choice_error
from scalesearch.export.base import Library

LIBRARIES: dict[str, tuple[str, str]] = {
    "timm": ("scalesearch.export.to_timm", "TimmLibrary"),
    "torchvision": ("scalesearch.export.to_torchvision", "TorchvisionLibrary"),
    "keras": ("scalesearch.export.to_keras", "KerasLibrary"),
    "transformers": ("scalesearch.export.to_transformers", "TransformersLibrary"),
    "pycls": ("scalesearch.export.to_pycls", "PyclsLibrary"),
    "python": ("scalesearch.export.to_python", "PythonLibrary"),
    "json": ("scalesearch.export.to_json", "JsonLibrary"),
    "onnx": ("scalesearch.export.to_onnx", "OnnxLibrary"),
    "torch-export": ("scalesearch.export.to_torch_export", "TorchExportLibrary"),
    "hub-folder": ("scalesearch.export.hub", "HubLibrary"),
}
"""Name -> module and class."""


def get_library(name: str) -> Library:
    """The target called `name`.

    Raises:
        UnknownNameError: no such target; the message lists them all.
    """
    if name not in LIBRARIES:
        raise choice_error("library", name, LIBRARIES)
    module, attribute = LIBRARIES[name]
    library: Library = getattr(importlib.import_module(module), attribute)()
    return library
