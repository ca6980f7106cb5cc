"""Two counts of one network: equal wherever both can see, and refused by name where one cannot."""

from __future__ import annotations

import inspect
import itertools

import counted_networks as nets
import pytest
import torch
from torch import nn

from scalesearch.errors import InfeasibleError, ScaleSearchError
from scalesearch.networks.shapes import count_shapes
from scalesearch.networks.user.baseline import user_baseline
from scalesearch.scaling.cost import count_agreement, count_module, refuse_disagreement, uncounted_note
from scalesearch.scaling.cost.operators import is_cheap


def both(build, px):
    """What fvcore and the shapes count, on meta and on the CPU: multiply-adds, weights, output elements."""
    counted = count_module(build(), px, 3)
    told = count_shapes(build, px, 3)
    real = count_shapes(lambda: HasValues(build()), px, 3)
    assert (told.macs, told.params, told.activations) == (real.macs, real.params, real.activations)
    return (counted.macs, counted.params, counted.activations), (told.macs, told.params, told.activations)


class HasValues(nn.Module):
    """Looks at a value, so that shapes alone do not do."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        assert float(x.sum()) == 0.0
        return self.inner(x)


RECURRENT = [
    # (kind, gates, hidden, layers, options); 96 values a row, 32 rows
    (nn.LSTM, 4, 16, 1, {}),
    (nn.LSTM, 4, 16, 2, {"bidirectional": True}),
    (nn.LSTM, 4, 16, 2, {"bias": False}),
    (nn.GRU, 3, 16, 2, {}),
    (nn.GRU, 3, 8, 1, {"bidirectional": True}),
    (nn.RNN, 1, 16, 3, {}),
    (nn.RNN, 1, 16, 1, {"nonlinearity": "relu"}),
]


@pytest.mark.parametrize(("kind", "gates", "hidden", "layers", "options"), RECURRENT)
def test_recurrence_is_counted_by_hand_by_shapes_and_by_fvcore(kind, gates, hidden, layers, options):
    def build():
        return nets.Rows(kind, 96, hidden, layers, 10, **options)

    ways = 2 if options.get("bidirectional") else 1
    inputs = [96] + [ways * hidden] * (layers - 1)
    macs = 32 * ways * sum(gates * hidden * (given + hidden) for given in inputs) + 10 * ways * hidden
    outputs = 32 * ways * layers * 2 * gates * hidden + 10
    biases = 0 if options.get("bias") is False else 2 * gates * hidden * ways * layers
    weights = ways * sum(gates * hidden * (given + hidden) for given in inputs) + biases + 10 * ways * hidden + 10
    counted, told = both(build, 32)
    assert counted == told == (macs, weights, outputs)


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
def test_a_projection_is_counted():
    counted, told = both(lambda: nets.Rows(nn.LSTM, 96, 16, 1, 10, proj_size=8), 32)
    assert counted[0] == told[0] == 32 * (4 * 16 * (96 + 8) + 16 * 8) + 80


def test_the_lstm_of_the_cases_has_516416_multiply_adds():
    baseline = user_baseline("counted_networks:lstm")
    found = count_agreement(baseline, baseline.spec, baseline.task)
    assert (found.shapes, found.fvcore) == (516_416, 516_416)
    assert (found.costly, uncounted_note(found)) == ((), "")


@pytest.mark.parametrize("cell", [nn.LSTMCell, nn.GRUCell, nn.RNNCell])
def test_a_cell_in_a_loop_counts_as_its_layer(cell):
    class Loop(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell, self.head = cell(96, 16), nn.Linear(16, 10)

        def forward(self, x):
            state = None
            for row in x.permute(2, 0, 1, 3).flatten(2):
                state = self.cell(row, state)
            return self.head(state[0] if isinstance(state, tuple) else state)

    gates = {nn.LSTMCell: 4, nn.GRUCell: 3, nn.RNNCell: 1}[cell]
    counted, told = both(Loop, 32)
    assert counted[0] == told[0] == 32 * gates * 16 * (96 + 16) + 160


class Sum(nn.Module):
    """One einsum over tensors of ones."""

    def __init__(self, equation, shapes):
        super().__init__()
        self.equation, self.shapes = equation, shapes

    def forward(self, x):
        return torch.einsum(self.equation, *[x.new_ones(shape) for shape in self.shapes])


EINSUMS = [
    ("ij,jk->ik", [(3, 4), (4, 5)], 3 * 4 * 5, 15),
    ("ij,jk", [(3, 4), (4, 5)], 3 * 4 * 5, 15),
    ("bij,bjk->bik", [(2, 3, 4), (2, 4, 5)], 2 * 3 * 4 * 5, 30),
    ("bcn,bcm->bnm", [(1, 24, 36), (1, 24, 36)], 24 * 36 * 36, 36 * 36),
    ("ij,jk,kl->il", [(3, 4), (4, 5), (5, 6)], 3 * 4 * 5 + 3 * 5 * 6, 15 + 18),
    ("i,i->", [(7,), (7,)], 7, 1),
    ("ij,ij->ij", [(3, 4), (3, 4)], 0, 0),
    ("ijk,jl->il", [(2, 3, 4), (3, 5)], 2 * 3 * 5, 10),  # k is summed by itself first
    ("bhnc,bhmc->bhnm", [(1, 2, 5, 1), (1, 2, 5, 1)], 0, 0),  # one channel: a product of elements
    ("...ij,jk->...ik", [(2, 3, 4), (4, 5)], 2 * 3 * 4 * 5, 30),
]


@pytest.mark.parametrize(("equation", "shapes", "macs", "outputs"), EINSUMS)
def test_einsum_is_counted_exactly(equation, shapes, macs, outputs):
    counted, told = both(lambda: Sum(equation, shapes), 4)
    assert counted == told == (macs, 0, outputs)


PRODUCTS = [
    ("a matrix and a vector", lambda x: x.flatten(2)[0] @ x.new_ones(64), 3 * 64, 3),
    ("matrices and a vector", lambda x: x @ x.new_ones(8), 3 * 8 * 8, 24),
    ("two vectors", lambda x: x.flatten() @ x.flatten(), 192, 1),
    ("mv", lambda x: torch.mv(x[0, 0], x.new_ones(8)), 64, 8),
    ("addmv", lambda x: torch.addmv(x.new_ones(8), x[0, 0], x.new_ones(8)), 64, 8),
    ("broadcast", lambda x: x @ x.new_ones(5, 3, 8, 2), 5 * 3 * 8 * 8 * 2, 5 * 3 * 8 * 2),
    ("tensordot", lambda x: torch.tensordot(x, x.new_ones(3, 8, 7), dims=([1, 3], [0, 1])), 8 * 24 * 7, 56),
]


class Given(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


@pytest.mark.parametrize(("function", "macs", "outputs"), [p[1:] for p in PRODUCTS], ids=[p[0] for p in PRODUCTS])
def test_products_that_fvcore_does_not_know_are_counted(function, macs, outputs):
    counted, told = both(lambda: Given(function), 8)
    assert counted == told == (macs, 0, outputs)


def found_of(name):
    baseline = user_baseline(f"counted_networks:{name}")
    return count_agreement(baseline, baseline.spec, baseline.task)


HIDDEN = [
    # with 16 channels at 12 x 12 px after the stem: multiply-adds of a block that fvcore does not see
    ("customfn", "autograd.Function _Square 4 times", 9 * 16 * 16 * 144),
    ("chained", "linalg_multi_dot 4 times", 2 * 16 * 16 * 16),
]


@pytest.mark.parametrize(("name", "blamed", "block"), HIDDEN)
def test_what_fvcore_does_not_see_is_named_and_refused(name, blamed, block):
    found = found_of(name)
    assert found.shapes - found.fvcore == 4 * block
    assert found.hidden == blamed
    with pytest.raises(ScaleSearchError) as caught:
        refuse_disagreement(found, f"counted_networks:{name}", "the baseline", 0.02, "look")
    said = str(caught.value)
    assert "\n" not in said
    assert f"does not look into {blamed}" in said
    assert f"{found.fvcore:,} multiply-adds" in said
    assert f"the shapes tell {found.shapes:,}" in said
    assert said.endswith("(look closer with: look)")


UNSEEN = [
    ("fourier", "fft_irfft2 4 times, fft_rfft2 4 times"),
    ("deform", "torchvision::deform_conv2d 4 times"),
    ("distances", "cdist 4 times"),
    ("spectrum", "_fft_c2c"),  # inside a function of the user's own
]


@pytest.mark.parametrize(("name", "named"), UNSEEN)
def test_what_nobody_counts_is_a_note_and_no_refusal(name, named):
    if name == "deform":
        pytest.importorskip("torchvision")
    found = found_of(name)
    assert found.off == 0
    refuse_disagreement(found, name, "the baseline", 0.02, "look")
    note = uncounted_note(found)
    assert named in note
    assert "--cost latency" in note
    assert "\n" not in note


def test_a_function_of_few_operations_an_element_is_no_matter():
    found = found_of("swish")
    assert (found.off, found.costly) == (0, ())
    assert found.shapes == 27 * 16 * 144 + 4 * 9 * 16 * 16 * 144 + 160


def test_checkpointing_hides_nothing():
    found = found_of("checkpointed")
    assert (found.off, found.costly) == (0, ())
    assert found.shapes == 27 * 16 * 144 + 4 * 9 * 16 * 16 * 144 + 160
    assert "apply" not in vars(torch.utils.checkpoint.CheckpointFunction)


def test_a_network_that_fvcore_cannot_follow_is_not_said_not_to_run():
    said = r"counted_networks:closed: fvcore cannot follow the network, which runs .*autograd\.Function.* check-base"
    with pytest.raises(InfeasibleError, match=said):
        found_of("closed")


def test_a_difference_within_half_the_tolerance_is_no_refusal():
    found = found_of("chained")
    refuse_disagreement(found, "near", "the baseline", 2 * found.off + 1e-9, "look")
    with pytest.raises(ScaleSearchError, match="near, the baseline"):
        refuse_disagreement(found, "near", "the baseline", 2 * found.off - 1e-9, "look")


COSTLY = ["fft_fft2", "cdist", "bilinear", "linalg_svd", "linalg_inv", "conv2d", "no_such_operator"]
FEW = ["relu_", "mean", "add", "exp", "unflatten", "hann_window", "_weight_norm", "softmax", "cumsum", "roll", "t"]


def test_operators_of_few_operations_are_told_from_others():
    assert [name for name in COSTLY if is_cheap(f"aten::{name}")] == []
    assert [name for name in FEW if not is_cheap(f"aten::{name}")] == []
    assert not is_cheap("mine::relu")


def activations() -> list[nn.Module]:
    """Every activation of torch that needs no more than a dimension, in place too where it can be."""
    found = []
    for name in nn.modules.activation.__all__:
        made = getattr(nn, name)
        takes = inspect.signature(made).parameters
        given = {"dim": 1} if "dim" in takes else {}
        if all(p.default is not p.empty or p.name in given for p in takes.values()):
            found += [made(**given, inplace=True)] if "inplace" in takes else []
            found.append(made(**given))
    return found


@pytest.mark.parametrize("activation", activations(), ids=str)
def test_no_activation_of_torch_is_called_costly(activation):
    """Hardswish, MobileNetV3's own, was said to hide what it costs."""
    counted = count_module(nn.Sequential(nn.Conv2d(3, 4, 3), activation), 8, 3)
    assert [name for name in dict(counted.uncounted_ops) if not is_cheap(name)] == []


CHANGING = {
    "a channel more at each call": (lambda calls: 8 + calls, 0),
    "another network after a while": (lambda calls: 8 if calls < 2 else 9, 0),
    "a head of another size": (lambda calls: 8, 1),
}


@pytest.mark.parametrize("kind", CHANGING)
def test_a_function_that_gives_another_network_each_time_is_refused_as_such(kind, monkeypatch):
    """Its counts differ, too, or hardly: what is written would not be what is trained."""
    (channels, head), calls = CHANGING[kind], itertools.count()

    def build(depth, width, resolution, num_classes, in_channels):
        made = next(calls)
        c = channels(made)
        pool = nn.AdaptiveAvgPool2d(1 + (head and made % 2))
        inputs = c * (1 + 3 * (head and made % 2))
        return nn.Sequential(nn.Conv2d(in_channels, c, 3), pool, nn.Flatten(), nn.Linear(inputs, num_classes))

    monkeypatch.setattr(nets, "build", build, raising=False)
    baseline = user_baseline("counted_networks:build", 16)
    found = [count_agreement(baseline, baseline.spec, baseline.task) for _ in range(2)][-1]
    first, second = found.weights
    assert first != second
    said = rf"^counted_networks:build, the baseline: one call gave a network of {first:,} weights, another call .* "
    with pytest.raises(ScaleSearchError, match=said + rf"one of {second:,}; allowed: the same network .*look\)$"):
        refuse_disagreement(found, "counted_networks:build", "the baseline", 0.1, "look")


def test_two_counts_of_one_network_have_its_weights():
    found = found_of("swish")
    assert found.weights == (29 * 16 + 4 * (9 * 16 * 16 + 16) + 170,) * 2
