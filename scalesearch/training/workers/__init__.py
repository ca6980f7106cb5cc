"""Where trainings run. An executor takes jobs and gives events back; it knows nothing of Optuna or of files."""
