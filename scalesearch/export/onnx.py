"""`--to onnx`: one graph a member, with its weights inside and a free batch size.

torch's newer exporter (`dynamo=True`) writes them: the older one is deprecated, and warns so. It folds batch-norm into
the convolutions, so the weights in a graph are fewer than those that were trained.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scalesearch.errors import MissingExtraError
from scalesearch.export.check.reference import own_network
from scalesearch.export.library import WHOLE, CheckError, Family, Library, LibraryProbe, StageCount
from scalesearch.export.traced import BATCHES, FIXED_BATCH, different, traced
from scalesearch.training.weights import Weights
from scalesearch.user_code.importing import one_line

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.export import ExportedProgram

OPSET = 18
"""The operator set that torch's exporter writes by itself; another would be converted."""
UNTOLD = ("LSTM", "GRU", "RNN", "Einsum")
"""Operators whose multiply-adds are not counted in a graph."""
INPUT, OUTPUT = "images", "logits"


class OnnxLibrary(Library):
    """Graphs for any runtime that reads ONNX."""

    name = "onnx"
    needs = "onnxruntime"
    extra = "onnx"
    carries_weights = True
    tolerance = 1e-4

    def files(self, family: Family) -> dict[str, str]:
        """No text: `write` makes the graphs."""
        return {}

    def module(self, family: Family) -> None:
        """There is nothing to import."""

    def usage(self, family: Family) -> str:
        """How a graph is run."""
        return (
            "import onnxruntime\n\n"
            f'session = onnxruntime.InferenceSession("{family.main.name}.onnx")\n'
            f'(logits,) = session.run(None, {{"{INPUT}": images}})  # float32 [N, C, H, W]'
        )

    def write(self, folder: Path, family: Family, weights: Mapping[str, Weights]) -> None:
        """One graph a member: with trained weights where they are given, else with those that seed 0 draws.

        Raises:
            MissingExtraError: onnx or onnxscript is not installed.
        """
        for needed in ("onnx", "onnxscript"):
            if importlib.util.find_spec(needed) is None:
                raise MissingExtraError(needed, self.extra, "an export to onnx")
        for member in family.members:
            found = weights.get(member.name)
            network = own_network(family, member, found.state if found else None)
            program = traced(network, family, member, self.name)
            try:
                _write(program, folder / f"{member.name}.onnx")
            except Exception as error:  # torch's exporter raises its own, of several lines
                raise CheckError(
                    f"onnx cannot have {member.name}: {one_line(error)}; nothing was written; "
                    "allowed: --to torch-export, python or json"
                ) from None

    def probe(self, folder: Path, module: str, builder: str, own: nn.Module, images: Tensor) -> LibraryProbe:
        """Check the graph, count its multiply-adds and run it with more than one batch size."""
        import onnx

        path = folder / f"{builder}.onnx"
        onnx.checker.check_model(str(path), full_check=True)
        graph = onnx.load(str(path), load_external_data=False)
        batches = BATCHES if graph.graph.input[0].type.tensor_type.shape.dim[0].dim_param else BATCHES[:1]
        gaps = [_gap(path, own, different(images, batch)) for batch in batches]
        sizes = f"batch {' and '.join(map(str, batches))}" if len(batches) > 1 else FIXED_BATCH
        note = f"opset {OPSET}, {sizes}; batch-norm is folded into the convolutions"
        return LibraryProbe({WHOLE: StageCount(None, graph_macs(graph))}, max(gaps), note)


def _write(traced_program: ExportedProgram, path: Path) -> None:
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel

    # The exporter tells of its steps on stdout. Fused attention gives strides that its own views do not fit.
    with contextlib.redirect_stdout(io.StringIO()), sdpa_kernel(SDPBackend.MATH):
        program = torch.onnx.export(
            traced_program,
            dynamo=True,
            input_names=[INPUT],
            output_names=[OUTPUT],
            opset_version=OPSET,
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export gave no program")
    program.save(str(path))


def _gap(path: Path, own: nn.Module, images: Tensor) -> float:
    import onnxruntime
    import torch

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (found,) = session.run([OUTPUT], {INPUT: images.numpy()})
    with torch.no_grad():
        return float((torch.from_numpy(found) - own(images)).abs().max())


def graph_macs(model: Any) -> int | None:
    """Multiply-adds of the convolutions and matrix products of a graph, for one image.

    None where the graph has recurrent layers or sums of products, whose inner sizes it does not tell.
    """
    import onnx

    if any(node.op_type in UNTOLD for node in model.graph.node):
        return None
    one = onnx.ModelProto()
    one.CopyFrom(model)
    del one.graph.value_info[:]  # the exporter leaves sizes inside attention open; for one image all of them follow
    one.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    graph = onnx.shape_inference.infer_shapes(one, strict_mode=True, data_prop=True).graph
    shapes: dict[str, Sequence[int]] = {value.name: list(value.dims) for value in graph.initializer}
    for value in (*graph.input, *graph.output, *graph.value_info):
        shapes[value.name] = [size.dim_value or 1 for size in value.type.tensor_type.shape.dim]
    return sum(_macs(node, shapes) for node in graph.node)


def _macs(node: Any, shapes: Mapping[str, Sequence[int]]) -> int:
    if node.op_type not in ("Conv", "ConvTranspose", "Gemm", "MatMul"):
        return 0
    given, outputs = shapes[node.input[0]], math.prod(shapes[node.output[0]])
    if node.op_type == "ConvTranspose":
        return math.prod(given) * math.prod(shapes[node.input[1]][1:])
    if node.op_type == "Conv":
        return outputs * math.prod(shapes[node.input[1]][1:])
    return outputs * given[-1]
