"""What a project declares of its packages: pyproject.toml, requirements files, single lines."""
