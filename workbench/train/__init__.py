"""The engine: a run, the loop that steps it, and its checkpoints."""
