"""Real files that are copied into exports to Keras as they are."""
