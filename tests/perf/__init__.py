"""Costs of the engine against loops written by hand: ``python -m tests.perf``."""
