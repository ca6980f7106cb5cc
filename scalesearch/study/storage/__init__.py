"""Optuna's tables, read and written by the one process that a study belongs to."""
