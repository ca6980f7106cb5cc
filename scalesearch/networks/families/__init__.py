"""What each family of networks is without torch: its config, its cost in closed form, its members."""
