"""The code that runs: which files it is, and its archive."""
