"""timm's RegNet with depths and widths of one's own, where timm's computes them from a slope and a quantum."""

from __future__ import annotations

import itertools
from dataclasses import asdict, dataclass
from typing import Any

import torch
from timm.models.regnet import RegNet, RegNetCfg

from scalesearch.networks.spec import NetworkSpec


@dataclass
class StagedCfg(RegNetCfg):
    """timm's configuration and what replaces `depth`, `w0`, `wa` and `wm`."""

    depths: tuple[int, ...] = ()
    widths: tuple[int, ...] = ()

    @staticmethod
    def of(cfg: RegNetCfg, spec: NetworkSpec) -> StagedCfg:
        """`cfg` with the stages, stem and head of `spec`."""
        ends = {"stem_width": spec.stem_width, "num_features": spec.head_width}
        return StagedCfg(**asdict(cfg) | ends, depths=spec.depths, widths=spec.widths)


class StagedRegNet(RegNet):
    """A RegNet of a `StagedCfg`: [N, in_chans, H, W] to logits [N, num_classes]."""

    def _get_stage_args(
        self, cfg: Any, default_stride: int = 2, output_stride: int = 32, drop_path_rate: float = 0.0
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        stages, common = super()._get_stage_args(cfg, default_stride, output_stride, drop_path_rate)
        blocks = sum(cfg.depths)
        rates = iter([drop_path_rate * index / (blocks - 1) for index in range(blocks)])
        for stage, depth, width in zip(stages, cfg.depths, cfg.widths, strict=True):
            group = min(cfg.group_size, int(width * cfg.bottle_ratio))
            stage.update(out_chs=width, depth=depth, group_size=group)
            stage["drop_path_rates"] = list(itertools.islice(rates, depth))
        return stages, common


def stages(cfg: RegNetCfg) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Blocks and output channels of each stage of timm's own network."""
    with torch.device("meta"):
        network: Any = RegNet(cfg)
    parts = [list(getattr(network, f"s{index}").children()) for index in range(1, 5)]
    return tuple(map(len, parts)), tuple(blocks[-1].conv3.out_channels for blocks in parts)
