"""Weights of full trainings, each given to the member of a family that it is of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scalesearch.errors import CheckpointError, StudyError
from scalesearch.export.library import Family, Member
from scalesearch.networks.spec import spec_to_dict
from scalesearch.scaling.units import plural
from scalesearch.training.weights import Weights, load_weights

if TYPE_CHECKING:
    from torch import Tensor

NETWORK_CHANGES = ("swish", "se")
"""Parts of the recipe whose absence makes another network."""


@dataclass(frozen=True)
class TrainedMember:
    """Weights of one member.

    Attributes:
        path: the file that `scalesearch train` wrote.
        facts: its metadata as values.
    """

    path: Path
    weights: Weights
    facts: Mapping[str, Any]

    def to_dict(self, name: str) -> dict[str, Any]:
        """What the card says of them."""
        told = ("label", "phi", "seed", "scored", "accuracy", "val_accuracy", "best_epoch", "mean", "std", "recipe")
        return {
            "name": name,
            "trained_in": self.facts.get("study"),
            "sha256": self.weights.sha256,
            **{key: self.facts.get(key) for key in told},
            "versions": self.facts.get("versions"),
        }


def trained_members(family: Family, files: Sequence[Path]) -> dict[str, TrainedMember]:
    """Member's name -> its weights; of several files for one member the first is taken.

    Args:
        family: what is exported.
        files: written by `scalesearch train`. A single one must be of a member; of several, those of other networks
            are passed over, as long as one is of a member.

    Raises:
        CheckpointError: truncated, altered, pickled, not of a training, or of no network of the family.
    """
    found: dict[str, TrainedMember] = {}
    refused = ""
    for path in files:
        one = _read(path)
        members = [member for member in family.members if not _difference(family, member, one.facts)]
        for member in members:
            if member.name not in found:
                _check_fits(family, member, one)
                found[member.name] = one
        refused = refused or ("" if members else f"{path} {_reason(family, one.facts)}")
    if files and not found:
        raise CheckpointError(refused)
    return found


def normalisation(
    family: Family, trained: Mapping[str, TrainedMember]
) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Mean and deviation that the weights were trained with: of the main member, else of the first that has weights.

    They differ between members only by what resizing does to the images.
    """
    found = trained.get(family.main.name) or next(iter(trained.values()), None)
    if found is None or not (found.facts.get("mean") and found.facts.get("std")):
        return None
    return tuple(found.facts["mean"]), tuple(found.facts["std"])


def study_weights(trainings: Path, study: str) -> tuple[Path, ...]:
    """Weights of every full training of a study with the whole recipe, the best on the validation images first.

    The test images have no say in it, so that their score stays a fair one.

    Args:
        trainings: the study's folder of full trainings.
        study: its name.

    Raises:
        StudyError: there are none.
    """
    from scalesearch.training.full.files import all_trained

    done = [one for one in all_trained(trainings) if one.status == "complete" and not one.without]
    if not done:
        raise StudyError(
            f"study {study!r} has no finished full training; allowed: scalesearch train {study} first, or --weights "
            "with a file that it wrote"
        )
    return tuple(one.weights for one in sorted(done, key=lambda one: (-(one.val_accuracy or 0.0), one.seed)))


def _read(path: Path) -> TrainedMember:
    from scalesearch.training.full.weight_facts import weights_facts

    weights = load_weights(path)
    if missing := [key for key in ("base", "network", "classes", "channels") if key not in weights.metadata]:
        raise CheckpointError(f"{path} does not say its {', '.join(missing)}; allowed: what 'scalesearch train' wrote")
    try:
        return TrainedMember(path, weights, weights_facts(weights.metadata))
    except StudyError as error:
        raise CheckpointError(f"{path}: {error}") from None


def _difference(family: Family, member: Member, facts: Mapping[str, Any]) -> str:
    """The first thing in which the weights are of another network than a member; empty where they are its own."""
    wanted = {
        "base": family.baseline.name,
        "network": spec_to_dict(member.spec),
        "classes": family.task.num_classes,
        "channels": family.task.in_channels,
    }
    if off := _taken_out(facts):
        return f"without {off}"
    return next((key for key, value in wanted.items() if facts[key] != value), "")


def _taken_out(facts: Mapping[str, Any]) -> str:
    """The part of the network that an ablation, or a recipe of one's own, trained without; empty where none."""
    recipe = facts.get("recipe")
    switches = recipe if isinstance(recipe, dict) else {}
    return next((part for part in NETWORK_CHANGES if facts.get("without") == part or switches.get(part) is False), "")


def _reason(family: Family, facts: Mapping[str, Any]) -> str:
    """What a file is of, beside what would do."""
    off = _taken_out(facts)
    without = f" without {off}" if off else ""
    images = f"{facts['classes']} classes of {plural(facts['channels'], 'channel')}"
    mine = f"{facts['base']}{without} {_in_short(facts['network'])}, {images}"
    allowed = "; ".join(f"phi {one.phi:g}: {_in_short(spec_to_dict(one.spec))}" for one in family.members)
    task = f"{family.task.num_classes} classes of {plural(family.task.in_channels, 'channel')}"
    return f"has the weights of another network: {mine}; allowed: {family.baseline.name} with {task}, {allowed}"


def _in_short(network: Any) -> str:
    try:
        return "blocks {depths}, channels {widths}, {resolution_px} px".format(**network)
    except (TypeError, KeyError):
        return repr(network)


def _check_fits(family: Family, member: Member, one: TrainedMember) -> None:
    """Refuse a state dict of other names or shapes than the network's, before anything is written.

    Raises:
        CheckpointError: naming the first weight.
    """
    import torch

    with torch.device("meta"):
        wanted = family.baseline.build(member.spec, family.task).state_dict()
    shapes, given = _shapes(wanted), _shapes(one.weights.state)
    for name in {**shapes, **given}:
        if shapes.get(name) != given.get(name):
            raise CheckpointError(
                f"{one.path} says that it is of {member.name}, but its weight {name!r} has shape {given.get(name)}, "
                f"where the network has {shapes.get(name)}"
            )


def _shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in state.items()}
