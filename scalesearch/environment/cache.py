"""Where what can be made again is kept between studies."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "SCALESEARCH_CACHE"


def cache_folder() -> Path:
    """$SCALESEARCH_CACHE, else the platform's own place for caches; nothing is made."""
    if given := os.environ.get(VARIABLE, "").strip():
        return Path(given).expanduser().absolute()
    from platformdirs import user_cache_path

    return user_cache_path("scalesearch", appauthor=False)
