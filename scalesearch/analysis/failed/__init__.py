"""Trainings that failed: why, which networks were lost to them, and what would let them train."""
