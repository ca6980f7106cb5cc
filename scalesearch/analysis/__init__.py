"""Records in, frozen results out. No torch, no optuna, nothing is drawn here."""
