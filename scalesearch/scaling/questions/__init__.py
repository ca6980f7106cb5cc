"""Questions about networks and spaces that need no training: the numbers, computed; `report` says them."""
