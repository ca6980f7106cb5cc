"""The first convolution of ResNets and DenseNets, for large images and for small ones."""

from __future__ import annotations


class SwitchedStem:
    """For configs with a field `small_stem`: the sizes of the first convolution."""

    __slots__ = ()

    small_stem: bool

    @property
    def stem_kernel(self) -> int:
        """Side of the first convolution's kernel."""
        return 3 if self.small_stem else 7

    @property
    def stem_stride(self) -> int:
        """Stride of the first convolution, and of the pooling after it."""
        return 1 if self.small_stem else 2
