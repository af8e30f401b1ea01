"""Encode a record as MLflow's inputs, params and tags."""
