"""Update rules: one file each, frozen dataclasses whose fields are the hyperparameters and whose functions are losses."""
