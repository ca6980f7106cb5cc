"""Source that calls a user's own function: the import with its one line of advice, and the guard of what it gives."""

from __future__ import annotations

from dataclasses import dataclass

from scalesearch.export.library import Family, Member
from scalesearch.export.text import LINE, call, render
from scalesearch.networks.user.function import UserBaseline
from scalesearch.networks.user.line import user_call
from scalesearch.user_code.importing import source_of

_IMPORT = """
try:
    import {{ module }}
except ModuleNotFoundError as error:
    if error.name not in {{ names }}:
        raise
    raise ModuleNotFoundError(
{{ message }},
        name=error.name,
    ) from None
"""

_CHECKED = '''
def _checked(name: str, network: nn.Module, params: int) -> nn.Module:
    """Refuse a network of another size than the one found: its code has changed since it was exported."""
    weights = list(network.parameters())
    count = sum(weight.numel() for weight in weights if not is_lazy(weight))
    if count != params and not any(map(is_lazy, weights)):
        raise RuntimeError(
            f"{{ function }} gives {name} with {count:,} parameters, "
            f"where the network found has {params:,}: its code has changed since; "
            "bring the old one back, or export again"
        )
    return network
'''


@dataclass(frozen=True)
class UserSource:
    """Text for a module that calls a user's function.

    Attributes:
        module: that is imported, such as `my_net`.
        function: as it is called, without its arguments, such as `my_net.build`.
        holds: the file or the folder that must be found, such as `my_net.py`.
        guarded_import: the import statement.
        checked: source of `_checked`.
    """

    module: str
    function: str
    holds: str
    guarded_import: str
    checked: str


def user_baseline_of(family: Family) -> UserBaseline:
    """The baseline of a family that is a user's own."""
    baseline = family.baseline
    if not isinstance(baseline, UserBaseline):
        raise TypeError(f"{baseline.name} is not of a user's own code")
    return baseline


def user_source(family: Family) -> UserSource:
    """What every module that calls the user's function has in common."""
    reference = user_baseline_of(family).call.reference
    module, _, attribute = reference.partition(":")
    parts = module.split(".")
    origin = source_of(parts[0])
    holds = f"the package {parts[0]}" if origin is None or origin.name == "__init__.py" else origin.name
    function = f"{module}.{attribute}"
    names = tuple(".".join(parts[: n + 1]) for n in range(len(parts)))
    values = {"module": module, "function": function, "file": f"{family.name}.py", "holds": holds}
    quoted = ", ".join(f'"{name}"' for name in names)
    guarded = render(
        _IMPORT, message=_message(values), names=f"({quoted},)" if len(names) == 1 else f"({quoted})", **values
    )
    return UserSource(module, function, holds, guarded.strip(), render(_CHECKED, function=function).strip())


def _message(values: dict[str, str]) -> str:
    """The advice as a string, in two parts where one line is too short for it."""
    first = "{file} calls {function}: ".format(**values)
    last = "put the folder that holds {holds} on sys.path, or in PYTHONPATH".format(**values)
    whole = f'        "{first}{last}"'
    return whole if len(whole) < LINE else f'        "{first}"\n        "{last}"'


def user_call_lines(family: Family, member: Member) -> str:
    """`network = my_net.build(...)` for the body of a function, on one line where it fits."""
    own = user_baseline_of(family).call
    function, arguments = user_call(own.reference, own.form, member.spec, "num_classes", "in_channels")
    lines = call(f"network = {function}", [*map(_stages_in_rows, arguments), "**options"])
    return lines.replace("\n", "\n    ")


def _stages_in_rows(argument: str) -> str:
    """A table of stages that is too long for a line, one stage a line."""
    if len(argument) < LINE // 2 or not argument.startswith("stages="):
        return argument
    rows = "".join(f"        ({row}),\n" for row in argument.removeprefix("stages=[(").removesuffix(")]").split("), ("))
    return f"stages=[\n{rows}    ]"
