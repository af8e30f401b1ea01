"""A record, and a verdict where there is one, as an HTML page that needs no other file."""
