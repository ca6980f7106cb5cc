"""The torch modules of the families, under the names of `families`."""
