"""Questions about locks, records and lakes. They change nothing."""
