"""One file with everything that a replay needs: written from a run, read before an audit or a replay."""
