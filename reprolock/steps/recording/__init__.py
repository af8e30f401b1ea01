"""Outcome → Record, and back: built, logged, kept, loaded again."""
