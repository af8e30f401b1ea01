"""The digest of a table, and the comparison of two, computed by Spark or without a JVM."""
