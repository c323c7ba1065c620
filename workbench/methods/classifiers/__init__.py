"""Rules that distil classifiers."""
