"""Outputs into the lake: their addresses, the branch of a run, and the merge."""
