"""What the page may load and run: its own sheet, its own script, and images that are in it. Nothing else."""

from __future__ import annotations

import base64
import hashlib


def source_hash(text: str) -> str:
    """How a Content-Security-Policy names an inline script or sheet.

    Example:
        >>> source_hash("")
        "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
    """
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def content_policy(script: str, sheet: str) -> str:
    """The policy of a page with this script and this sheet."""
    return (
        f"default-src 'none'; script-src {source_hash(script)}; style-src {source_hash(sheet)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
