"""From coefficients and a budget to whole networks that meet it, and what can be asked of them without training."""
