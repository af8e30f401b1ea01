"""Record → Verdict: a recorded run again, and the two compared."""
