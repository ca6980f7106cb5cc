"""`--to pycls`: tables of the keys of its config and of its names."""
