"""Evidence for what a search found: what is trained, in which stages, and the trainings themselves."""
