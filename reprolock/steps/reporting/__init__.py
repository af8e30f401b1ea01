"""What a change of the lock did, for a pull request: both sides of it, run or found, and compared."""
