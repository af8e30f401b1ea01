"""Many objects of one commit, read at the same time by plain HTTP."""
