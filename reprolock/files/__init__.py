"""The files of a project: repro.toml is read, repro.lock is read and written whole, nothing is patched."""
