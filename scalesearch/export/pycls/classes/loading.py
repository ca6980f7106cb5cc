"""Networks of the yaml files beside a module."""

from pathlib import Path

from pycls.core.builders import build_model
from pycls.core.config import cfg, load_cfg, reset_cfg
from torch import nn

FOLDER = Path(__file__).parent


def build(name: str, num_classes: int) -> nn.Module:
    """The network of one yaml; pycls' global config is left as it was."""
    before, frozen = cfg.clone(), cfg.is_frozen()
    cfg.defrost()
    try:
        reset_cfg()
        load_cfg(str(FOLDER), f"{name}.yaml")
        cfg.MODEL.NUM_CLASSES = num_classes
        network: nn.Module = build_model()
        return network
    finally:
        cfg.merge_from_other_cfg(before)
        if frozen:
            cfg.freeze()
