"""Pythons of this machine: finding the declared one, asking it what it is, kernels, paths."""
