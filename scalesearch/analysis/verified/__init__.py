"""What new seeds and larger phi say of what the search found."""
