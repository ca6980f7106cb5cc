"""Studies in optuna-dashboard: their trainings under names for people (`view`), and who may look (`serving`)."""
