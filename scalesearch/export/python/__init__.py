"""`--to python`: definitions taken out of scalesearch, or a call of timm's classes or of a user's function."""
