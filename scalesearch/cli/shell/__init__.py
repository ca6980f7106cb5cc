"""What a shell asks of the command line: its help, and what may come next on it."""
