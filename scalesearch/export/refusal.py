"""What a writer of one library says of a network that the library cannot express."""

from __future__ import annotations


class RefusedError(Exception):
    """A stage, and why in a few words; the library makes an `InexpressibleError` of it, which names the network."""

    def __init__(self, stage: str, why: str) -> None:
        super().__init__(stage, why)
        self.stage, self.why = stage, why


def refuse(*conditions: tuple[bool, str, str]) -> None:
    """Refuse on the first (condition, stage, why) that holds.

    Raises:
        RefusedError: one holds.
    """
    for wrong, stage, why in conditions:
        if wrong:
            raise RefusedError(stage, why)
