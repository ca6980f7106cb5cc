"""`--to pycls`: tables of the keys of its config and of its names, and what is copied into an export."""
