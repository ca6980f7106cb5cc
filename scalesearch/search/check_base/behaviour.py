"""How the unscaled network behaves when it runs: on a real batch, in both modes, with gradients, from the same seed."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from scalesearch.errors import BaseError, ScaleSearchError
from scalesearch.networks.base import Baseline, Task
from scalesearch.networks.outputs import no_tensor
from scalesearch.networks.placed import layout_for, placed
from scalesearch.search.check_base.found import Finding, agreed
from scalesearch.user_code.importing import one_line

BATCH = 2
STEPS = 16
"""Steps after which a parameter without a gradient is called unused: one of survival 0.5 is missed once in 65,000."""
NAMED = 5
"""So many parameters are named, the others counted."""

ROWS = (
    "it views images as rows, and trainings give it rows, which are slower than torch's channels_last; wanted: "
    "torch.flatten(x, 1) or x.reshape(...) in place of x.view(...)"
)


class Behaviour:
    """The unscaled network on the CPU and a batch of random images, laid out as trainings lay them out."""

    def __init__(self, baseline: Baseline, task: Task) -> None:
        self.baseline, self.task = baseline, task
        self.printed = io.StringIO()
        generator = torch.Generator().manual_seed(0)
        px = baseline.spec.resolution_px
        images = torch.randn(BATCH, task.in_channels, px, px, generator=generator)
        with contextlib.redirect_stdout(self.printed), torch.random.fork_rng(devices=[]):
            self.layout = layout_for(lambda: self._build(0), (BATCH, *images.shape[1:]), images.device)
        self.images = images.contiguous(memory_format=self.layout)
        self.labels = torch.randint(task.num_classes, (BATCH,), generator=generator)

    def built(self, seed: int) -> nn.Module:
        """The network as a training with this seed would build it."""
        return placed(self._build(seed), self.images.device, self.layout)

    def _build(self, seed: int) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self.baseline.build(self.baseline.spec, self.task)

    def run(self, module: nn.Module, images: Tensor, seed: int = 0) -> Tensor:
        """The network's output; what it prints is kept. It may change its input, as it may that of a training."""
        with contextlib.redirect_stdout(self.printed), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            output = module(images.clone())
        if not isinstance(output, Tensor):
            mode = "training" if module.training else "eval"
            raise BaseError(f"in {mode} mode it gives {no_tensor(output)}; wanted: one tensor of logits in both modes")
        return output

    def findings(self) -> Iterator[Finding]:
        """All of them; a network that does not run on the batch has only one."""
        module = self.built(0)
        failure = self._failure(module)
        if failure:
            yield Finding("problem", "batch", failure)
            return
        shapes = list(self._batch(module))
        yield from shapes
        if any(finding.level == "problem" for finding in shapes):
            return
        yield from self._modes(module)
        yield from self._seeds()
        if self.layout is not torch.channels_last:
            yield Finding("warning", "layout", ROWS)
        if text := self.printed.getvalue():
            sys.stdout.write(text)
            line = text.strip().partition("\n")[0][:60]
            yield Finding("warning", "output", f"it prints while it runs ({line!r}), in every step of every training")

    def _failure(self, module: nn.Module) -> str:
        """Why the network does not run on a batch; empty where it does."""
        try:
            self.run(module.eval(), self.images)
        except ScaleSearchError:
            raise
        except Exception as error:
            return f"it does not run on a batch of {BATCH} images: {one_line(error)}"
        return ""

    def _modes(self, module: nn.Module) -> Iterator[Finding]:
        """Finite outputs in training and in eval mode, then gradients; logits."""
        with torch.no_grad():
            outputs = {
                "eval": self.run(module.eval(), self.images),
                "training": self.run(self.built(0).train(), self.images),
            }
        for mode, output in outputs.items():
            if not output.isfinite().all():
                yield Finding("problem", "finite", f"the output at initialisation is not finite in {mode} mode")
        if all(output.isfinite().all() for output in outputs.values()):
            yield Finding("ok", "finite", f"a batch of {BATCH} gives finite outputs in training mode and in eval mode")
            yield from self._gradients(module)
        output = outputs["eval"]
        if (output >= 0).all() and torch.allclose(output.sum(1), torch.ones(BATCH), atol=1e-4):
            text = "the outputs of an image sum to 1, as after a softmax; wanted: logits, the loss applies the softmax"
            yield Finding("warning", "logits", text)

    def _batch(self, module: nn.Module) -> Iterator[Finding]:
        """The output of an image, alone and in a batch."""
        with torch.no_grad():
            together = self.run(module.eval(), self.images)
            alone = self.run(module, self.images[:1])
        wanted = {BATCH: [BATCH, self.task.num_classes], 1: [1, self.task.num_classes]}
        for size, output in ((BATCH, together), (1, alone)):
            if [*output.shape] != wanted[size]:
                text = f"a batch of {size} gives shape {[*output.shape]}; wanted: {wanted[size]}"
                yield Finding("problem", "batch", text)
                return
        scale = float(together.nan_to_num().abs().max()) + 1e-6
        yield agreed(
            "batch",
            bool(((together[:1] - alone).nan_to_num().abs() <= 1e-3 * scale).all()),
            f"batches of 1 and {BATCH} give one row of logits an image, the same in both",
            "in eval mode the output of an image depends on the others of its batch",
            "warning",
        )

    def _gradients(self, module: nn.Module) -> Iterator[Finding]:
        """Parameters that no training step reaches; a network may skip layers by chance."""
        named, unused = list(module.named_parameters()), [""]
        for seed in range(STEPS):
            loss = functional.cross_entropy(self.run(module.train(), self.images, seed), self.labels)
            if loss.requires_grad:
                loss.backward()  # type: ignore[no-untyped-call]
            unused = [name for name, weights in named if weights.requires_grad and weights.grad is None]
            if not unused:
                break
        if all(weights.grad is None for _, weights in named):
            yield Finding("problem", "gradients", "no gradient reaches any parameter: nothing can be trained")
            return
        frozen = [name for name, weights in named if not weights.requires_grad]
        wild = [name for name, weights in named if weights.grad is not None and not weights.grad.isfinite().all()]
        if unused:
            yield Finding(
                "problem",
                "gradients",
                f"no gradient reaches {_names(unused)} in {STEPS} steps: they cost, and learn nothing",
            )
        if frozen:
            yield Finding("warning", "gradients", f"these are frozen and stay as they are: {_names(frozen)}")
        if wild:
            yield Finding("problem", "gradients", f"gradients are not finite in {_names(wild)}")
        if not (unused or frozen or wild):
            yield Finding("ok", "gradients", f"finite gradients reach all {len(named)} parameters")

    def _seeds(self) -> Iterator[Finding]:
        """Whether a seed settles the weights, and another seed changes them."""
        one, again, other = (self.built(seed).state_dict() for seed in (0, 0, 1))
        differing = [name for name in one if not _same(one[name], again.get(name))]
        yield agreed(
            "seed",
            not differing,
            "two networks built with one torch seed are equal",
            f"two networks built with one torch seed differ in {_names(differing)}; wanted: random numbers from torch, "
            "without torch.seed()",
        )
        if not differing and all(_same(one[name], other.get(name)) for name in one):
            text = "networks built with two torch seeds are equal too; wanted: no torch.manual_seed() in it"
            yield Finding("warning", "seed", text)
        yield from self._steady()

    def _steady(self) -> Iterator[Finding]:
        """Whether eval mode is free of chance."""
        module = self.built(0).eval()
        with torch.no_grad(), contextlib.redirect_stdout(self.printed), torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            first, second = module(self.images.clone()), module(self.images.clone())
        if not _same(first, second):
            text = "in eval mode the same images give another output each time; wanted: dropout with self.training"
            yield Finding("problem", "seed", text)


def _same(one: Tensor, other: Tensor | None) -> bool:
    return other is not None and torch.equal(torch.nan_to_num(one), torch.nan_to_num(other))


def _names(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - NAMED} more" if len(listed) > NAMED else ""
    return ", ".join(listed[:NAMED]) + more
