"""Python packages: declared, locked by uv, built into environments, compared with what is installed."""
