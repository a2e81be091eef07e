"""A look at a run that changes nothing, and the whole picture of it."""
