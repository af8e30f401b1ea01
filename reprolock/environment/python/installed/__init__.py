"""Locked packages → an environment on disk: built, kept, checked against its wheels, shipped."""
