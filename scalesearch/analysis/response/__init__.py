"""The response surface of a budget: fitted, its optimum, and what another training would tell."""
