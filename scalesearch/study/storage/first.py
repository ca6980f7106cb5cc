"""The Optuna study that every study has, and carries what is true of all of it."""

BASELINE_STUDY = "baseline"
"""Its name, before any change of the definition."""

MADE = "made"
"""Its attribute with the manifests that the trainings were made by, one for each change; a study that lacks it was
never whole, or is from before it was kept."""
