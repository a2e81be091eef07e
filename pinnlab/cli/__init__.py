"""The `pinnlab` command: what it takes, what bad input gets, and the names that it knows."""
