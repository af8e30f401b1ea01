"""What the tests of tables share."""

from table_environment import spark_environ  # noqa: F401 - a fixture
