"""Declared packages → locked ones, by uv, and where each file comes from."""
