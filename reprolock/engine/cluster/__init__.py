"""A Spark master on other machines: what executors are given, and what is asked of them."""
