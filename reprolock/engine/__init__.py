"""Execute a command: as a plain process, with Spark's configuration around it."""
