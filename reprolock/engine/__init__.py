"""What executes a command: the plain process, and Spark's configuration around it."""
