"""Pins → files: the objects of a pinned dataset as a read-only tree on the disk."""
