"""Real files that are copied into exports to timm as they are."""
