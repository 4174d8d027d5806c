"""Read models: folded from the log, droppable, rebuilt beside the living."""
