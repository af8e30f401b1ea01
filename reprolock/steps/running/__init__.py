"""Lock → Workspace → Outcome: everything that one run is given, and what becomes of it."""
