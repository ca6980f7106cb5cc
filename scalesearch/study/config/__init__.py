"""What a study is: its definition and recipe as frozen values, with TOML as their file form."""

from __future__ import annotations

from scalesearch.study.config.cluster import OPEN, UNSAID, ClusterOptions, parse_cluster
from scalesearch.study.config.commands import counting_command, run_command
from scalesearch.study.config.definition import (
    PER_TRAINING,
    SAMPLERS,
    StudyConfig,
    config_from_dict,
    config_to_dict,
    override,
    placed,
    unknown_key,
)
from scalesearch.study.config.engine import LEFT_OPEN, Engine
from scalesearch.study.config.files import (
    definition_path,
    definitions,
    dump_toml,
    load_config,
    load_definition,
    read_toml,
)
from scalesearch.study.config.parse import (
    check_study_name,
    check_workers,
    parse_duration,
    parse_engine,
    parse_points,
    parse_rate,
)
from scalesearch.study.config.places import NOWHERE, Places, parse_devices, parse_per_device
from scalesearch.study.config.recipe import Augmentation, Optimizer, ProxyRecipe
from scalesearch.study.config.spelling import option

__all__ = [
    "LEFT_OPEN",
    "NOWHERE",
    "OPEN",
    "PER_TRAINING",
    "SAMPLERS",
    "UNSAID",
    "Augmentation",
    "ClusterOptions",
    "Engine",
    "Optimizer",
    "Places",
    "ProxyRecipe",
    "StudyConfig",
    "check_study_name",
    "check_workers",
    "config_from_dict",
    "config_to_dict",
    "counting_command",
    "definition_path",
    "definitions",
    "dump_toml",
    "load_config",
    "load_definition",
    "option",
    "override",
    "parse_cluster",
    "parse_devices",
    "parse_duration",
    "parse_engine",
    "parse_per_device",
    "parse_points",
    "parse_rate",
    "placed",
    "read_toml",
    "run_command",
    "unknown_key",
]
