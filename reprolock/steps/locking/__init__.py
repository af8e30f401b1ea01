"""Spec → Lock: what is declared becomes pins, and pins are checked against what is declared."""
