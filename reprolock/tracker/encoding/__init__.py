"""What a record is in the words of MLflow: inputs, params, tags."""
