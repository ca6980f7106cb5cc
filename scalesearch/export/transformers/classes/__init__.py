"""Real files that are copied into exports to transformers as they are."""
