"""The training step as one CUDA graph: a few steps as ever, then one recording of them that is replayed.

What a step does on the host happens once, when it is recorded. So the learning rate is a tensor, averages are updated
outside, and a network that would do something else on the host in its next step is refused: its training begins again
without a graph.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor, nn

Step = Callable[[Tensor, Tensor], Tensor]
"""Images and labels of a batch -> its loss, after the weights have moved."""

WARM_STEPS = 3
"""Steps before the recording: libraries make their workspaces in them, optimizers their state, compilers their code."""
LONGEST_REASON = 200


class EagerInsteadError(Exception):
    """A training cannot be replayed or compiled; the message says why. It can begin again without.

    Attributes:
        switch: that is to be off.
    """

    def __init__(self, switch: Literal["graph", "compile"], reason: str) -> None:
        line = next((text.strip() for text in reason.splitlines() if text.strip()), "no reason was given")
        super().__init__(f"{'not replayed' if switch == 'graph' else 'not compiled'}: {line[:LONGEST_REASON]}")
        self.switch = switch


class Graph(Protocol):
    """Records what a device is told to do."""

    def warm(self, work: Callable[[], Tensor]) -> Tensor:
        """Do the work now, where what it sets up serves a recording too."""

    def record(self, work: Callable[[], Tensor]) -> None:
        """Record the work, which is not done by that."""

    def replay(self) -> Tensor:
        """Do what was recorded; a copy of what it gives."""


class CudaGraph(Graph):
    """torch's, with a stream of its own."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._graph = torch.cuda.CUDAGraph()
        self._found: Tensor | None = None

    def warm(self, work: Callable[[], Tensor]) -> Tensor:
        """On the stream of the recording, as torch wants it for what backward passes keep."""
        current = torch.cuda.current_stream(self.device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            found = work()
        current.wait_stream(self._stream)
        return found

    def record(self, work: Callable[[], Tensor]) -> None:
        """Other threads may go on meanwhile: images are read ahead in one."""
        with torch.cuda.graph(self._graph, stream=self._stream, capture_error_mode="thread_local"):
            self._found = work()

    def replay(self) -> Tensor:
        """The loss is copied: the next replay writes to its place."""
        if self._found is None:
            raise RuntimeError("nothing was recorded")
        self._graph.replay()
        return self._found.clone()


class ReplayedSteps:
    """Steps of one network; those on batches of the first one's shape are replayed, others are done as ever.

    Args:
        step: does one; what it moves must stay where it is in memory.
        module: its network.
    """

    def __init__(self, step: Step, module: nn.Module, graph: Graph) -> None:
        self._step, self._module, self._graph = step, module, graph
        self._done = 0
        self._images: Tensor | None = None
        self._labels: Tensor | None = None
        self._shape: torch.Size | None = None

    def __call__(self, images: Tensor, labels: Tensor) -> Tensor:
        """One step.

        Raises:
            EagerInsteadError: it cannot be recorded.
        """
        self._shape = self._shape or images.shape
        if images.shape != self._shape:
            return self._step(images, labels)
        if self._done < WARM_STEPS:
            self._done += 1
            return self._graph.warm(lambda: self._step(images, labels))
        if self._images is None or self._labels is None:
            self._record(images, labels)
        else:
            self._images.copy_(images)
            self._labels.copy_(labels)
        return self._graph.replay()

    def _record(self, images: Tensor, labels: Tensor) -> None:
        own_images, own_labels = images.clone(), labels.clone()
        drawn, places = _host_generators(), _places(self._module)
        try:
            self._graph.record(lambda: self._step(own_images, own_labels))
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise EagerInsteadError("graph", str(error)) from error
        if _host_generators() != drawn:
            raise EagerInsteadError("graph", "the network draws random numbers on the host in its step")
        if _places(self._module) != places:
            raise EagerInsteadError("graph", "the network replaces tensors of its own in its step")
        self._images, self._labels = own_images, own_labels


def _host_generators() -> tuple[Any, ...]:
    kind, keys, *rest = np.random.get_state()
    return torch.get_rng_state().tolist(), random.getstate(), kind, np.asarray(keys).tolist(), rest


def _places(module: nn.Module) -> list[int]:
    return [tensor.data_ptr() for tensor in (*module.parameters(), *module.buffers())]
