#!/usr/bin/env bash
# The default study as a user calls it; what is added shortens its trainings, as for all rivals, and names its place.
python -m scalesearch run --budget 2x --seed "$1" --workers 1 "${@:2}"
