"""Is the proxy to be trusted? Learning curves, longer trainings, other learning rates."""
