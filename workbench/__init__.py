"""Distil models and watch every step of it. Nothing heavy is imported here: ask for the module you use."""

__version__ = "0.1.0"
