"""Update rules: one file each, a frozen dataclass whose fields are hyperparameters and whose functions are losses."""
