"""Several runs at once, told apart by what was changed from one to the next."""
