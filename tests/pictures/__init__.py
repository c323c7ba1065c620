"""Pictures for the README, made by ``python -m tests.pictures``."""
