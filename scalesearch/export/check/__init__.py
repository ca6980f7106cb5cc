"""Is an export the network that was found? Asked in a fresh process, of files that nobody has seen yet."""
