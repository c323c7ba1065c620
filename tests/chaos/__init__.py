"""Runs killed at random moments and resumed: ``python -m tests.chaos``."""
