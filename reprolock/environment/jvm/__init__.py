"""Java, and the jars of a Spark session: resolved, locked, stored."""
