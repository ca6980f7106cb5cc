"""What a machine hands on to the program, and what the program says while it works."""
