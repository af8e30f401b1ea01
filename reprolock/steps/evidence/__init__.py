"""Who says so, and what it rests on: statements signed, audited without a lake or a network, held commits, bundles."""
