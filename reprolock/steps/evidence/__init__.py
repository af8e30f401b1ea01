"""Evidence: sign statements, audit them without a lake or a network, hold pinned commits, make bundles."""
