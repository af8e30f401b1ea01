"""Versioned data stores behind one small protocol: `LakeFSLake` (a lakeFS server), `GitLake` (embedded)."""
