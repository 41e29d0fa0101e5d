"""Pure paths: what is computed from the text of a path alone, as the newest pathlib computes it."""
