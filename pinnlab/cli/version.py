"""The version, which the command tells without importing anything else."""

__version__ = "0.1.0"
