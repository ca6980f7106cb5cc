"""Real files that are copied into exports to pycls as they are."""
