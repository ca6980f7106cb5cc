"""Compound scaling coefficients (depth, width, resolution) for your own network, data and compute budget."""

__version__ = "0.1.0"
