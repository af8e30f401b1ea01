"""`Store`: the single calls of MLflow, over its REST API or through its own client."""
