"""Trainings: the short one that networks are compared by, the workers that run it, and training in full."""
