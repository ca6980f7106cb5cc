"""`--to timm` of a user's own function: it is registered with timm's names, and called with what was found."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from scalesearch.errors import ScaleSearchError
from scalesearch.export.check.reference import SEED
from scalesearch.export.library import Family, LibraryProbe, Member
from scalesearch.export.literal import Source
from scalesearch.export.text import render
from scalesearch.export.timm.arguments import TimmModel
from scalesearch.export.timm.library import TimmLibrary
from scalesearch.export.timm.written import Written
from scalesearch.export.user_source import user_baseline_of, user_source
from scalesearch.networks.base import Task
from scalesearch.networks.user.function import UserBaseline
from scalesearch.networks.user.line import POSITIONS, user_call

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

_CREATE = '''
{{ checked }}


def _create(variant: str, pretrained: bool, params: int, sizes: {{ kind }}, **kwargs: Any) -> nn.Module:
    """A model that timm builds by calling {{ function }}, with timm's names of arguments."""

    def model(num_classes: int = {{ classes }}, in_chans: int = {{ channels }}, **given: Any) -> nn.Module:
        options = _options(**given)
        network = {{ call }}
        if not options and (num_classes, in_chans) == ({{ classes }}, {{ channels }}):
            _checked(variant, network, params)
        if not hasattr(network, "num_classes"):
            network.num_classes = num_classes
        return network

    return build_model_with_cfg(model, variant, pretrained, **kwargs)


def _options(**given: Any) -> dict[str, Any]:
    """Arguments under the function's own names; a rate of 0 is what a network without it has."""
    names: dict[str, str] = {{ rates }}
    options = {names.get(name, name): value for name, value in given.items()}
    missing = ("drop_rate", "drop_path_rate", "drop_block_rate")
    return {name: value for name, value in options.items() if value or name not in missing}
'''


_TIMM = ("build_model_with_cfg", "generate_default_cfgs")


class UserTimmLibrary(TimmLibrary):
    """Models for `timm.create_model`, whose layers are the user's own."""

    @override
    def written(self, family: Family) -> Written:
        return written(family)

    @override
    def usage(self, family: Family) -> str:
        holds = user_source(family).holds
        return (
            f"import timm\n\nimport {family.name}  # registers the models; this folder and {holds} must be on the path"
            f'\n\nnetwork = timm.create_model("{family.main.name}")'
        )

    def own_names(self, member: Member, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The user's own."""
        return dict(state)

    def probe(self, folder: Path, module: str, builder: str, own: nn.Module, images: Tensor) -> LibraryProbe:
        """`timm.create_model(builder)` under the seed of scalesearch's own network; see `Library.probe`."""
        import timm
        import torch

        from scalesearch.export.check.torch_probe import compare, import_file

        import_file(folder, module)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            network = timm.create_model(builder)
        return compare(network, own, images, own.state_dict())


def written(family: Family) -> Written:
    """The parts of the module."""
    baseline, user = user_baseline_of(family), user_source(family)
    options = {"drop_rate": "dropout", "drop_path_rate": "stochastic_depth"}
    rates = {timm: own for timm, own in options.items() if own in baseline.call.options}
    classes, channels = family.task.num_classes, family.task.in_channels
    create = render(
        _CREATE, checked=user.checked, classes=classes, channels=channels, function=user.function,
        kind=_kind(baseline), call=_call(baseline), rates=Source().flat(rates),
    )  # fmt: skip
    table = Source().entries({member.name: _sizes(baseline, member) for member in family.members}, 4)
    kind = f"dict[str, {_kind(baseline)}]"
    first_conv = _changing(family, replace(family.task, in_channels=channels + 1), 4)
    classifier = _changing(family, replace(family.task, num_classes=classes + 1), 2)
    return Written(
        {member.name: TimmModel((), {}, first_conv, classifier) for member in family.members},
        f"{create.strip()}\n\n\nNETWORKS: {kind} = {{\n{table}}}",
        {
            m.name: f'_create("{m.name}", pretrained, {m.params}, NETWORKS["{m.name}"], **kwargs)'
            for m in family.members
        },
        {"torch": ("nn",), "torch.nn.parameter": ("is_lazy",), "timm.models": _TIMM},
        user.guarded_import,
        f"timm and\n{user.holds}, whose own {user.function} it calls",
        ("drop_rate",) if "drop_rate" in rates else (),
    )


def _kind(baseline: UserBaseline) -> str:
    return "tuple[float, ...]" if baseline.call.form == POSITIONS else "dict[str, Any]"


def _call(baseline: UserBaseline) -> str:
    """The call with the sizes that a builder gives."""
    function, _ = user_call(baseline.call.reference, baseline.call.form, baseline.spec, "", "")
    if baseline.call.form == POSITIONS:
        return f"{function}(*sizes, num_classes, in_chans, **options)"
    return f"{function}(**sizes, num_classes=num_classes, in_channels=in_chans, **options)"


def _sizes(baseline: UserBaseline, member: Member) -> tuple[Any, ...] | dict[str, Any]:
    """What the function is called with, but for the task's."""
    own = baseline.call
    _, arguments = user_call(own.reference, own.form, member.spec, "", "")
    if own.form == POSITIONS:
        return tuple(map(ast.literal_eval, arguments[:3]))
    given = dict(argument.split("=", 1) for argument in arguments)
    return {name: ast.literal_eval(value) for name, value in given.items() if value}


def _changing(family: Family, task: Task, axes: int) -> str | None:
    """The one module whose weight, of so many axes, has another shape for another task.

    None where it is not one, or where more than its weight and bias change: then timm could not adapt weights by it.
    """
    own, other = (_shapes(family, one) for one in (family.task, task))
    changed = {name: shape for name, shape in own.items() if shape != other.get(name)}
    paths = {name.rpartition(".")[0] for name in changed}
    if len(paths) != 1 or "" in paths:
        return None
    (path,) = paths
    adaptable = {f"{path}.weight", f"{path}.bias"}.issuperset(changed)
    return path if adaptable and len(changed.get(f"{path}.weight", ())) == axes else None


def _shapes(family: Family, task: Task) -> dict[str, tuple[int, ...]]:
    """Shapes of all weights of the main member; none where a network for this task cannot be built."""
    import torch
    from torch.nn.parameter import is_lazy

    try:
        with torch.random.fork_rng(devices=[]):
            network = family.baseline.build(family.main.spec, task)
    except ScaleSearchError:
        return {}
    return {name: () if is_lazy(weight) else tuple(weight.shape) for name, weight in network.state_dict().items()}
