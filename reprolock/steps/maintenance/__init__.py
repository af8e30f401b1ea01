"""The machine: what it lacks, its environments and caches, the schemas."""
