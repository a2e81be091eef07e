"""What studies share: the runs, what is recorded of them, and the parts of a report."""
