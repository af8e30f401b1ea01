"""`LakeFSLake`: a lakeFS server over its API."""
