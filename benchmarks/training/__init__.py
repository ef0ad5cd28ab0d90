"""The training loop and what it is set by: recipe, checkpoint, loggers."""
