"""Accuracy against cost as a law: the curve, its fit, what is read off it."""
