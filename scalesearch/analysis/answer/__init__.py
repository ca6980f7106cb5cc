"""The answer of a study on a budget: what to do, what it gains, how sure that is, and what would settle more."""
