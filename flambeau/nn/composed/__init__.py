"""Functions that are chains of operators, by family."""
