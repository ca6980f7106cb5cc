"""A user's own code: imported by name from the current folder, and kept from doing harm."""
