"""Real files that are copied into exports to torchvision as they are."""
