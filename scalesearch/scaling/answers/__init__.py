"""What the questions that need no training find, as frozen values and plain forms."""
