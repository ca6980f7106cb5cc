"""A user's own network: imported, inspected, called, counted from shapes."""
