"""timm's RegNet of explicit stages."""

from dataclasses import dataclass
from typing import Any

from timm.models.regnet import RegNet, RegNetCfg


@dataclass
class StagedCfg(RegNetCfg):
    """timm's configuration with the stages written out, where timm computes them from a slope and a quantum."""

    depths: tuple[int, ...] = ()
    widths: tuple[int, ...] = ()


class StagedRegNet(RegNet):
    """timm's RegNet of the stages that a `StagedCfg` has."""

    def __init__(self, stages: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(StagedCfg(**stages), **kwargs)

    def _get_stage_args(
        self, cfg: Any, default_stride: int = 2, output_stride: int = 32, drop_path_rate: float = 0.0
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        stages, common = super()._get_stage_args(cfg, default_stride, output_stride, drop_path_rate)
        blocks = sum(cfg.depths)
        rates = iter([drop_path_rate * index / max(1, blocks - 1) for index in range(blocks)])
        for stage, depth, width in zip(stages, cfg.depths, cfg.widths, strict=True):
            stage.update(out_chs=width, depth=depth, group_size=min(cfg.group_size, int(width * cfg.bottle_ratio)))
            stage["drop_path_rates"] = [next(rates) for _ in range(depth)]
        return stages, common
