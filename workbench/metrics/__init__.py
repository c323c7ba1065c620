"""Measures of samples, labels, text and cost, each tested against a known value."""
