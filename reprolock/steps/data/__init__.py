"""The lake by hand: files into it and out of it."""
