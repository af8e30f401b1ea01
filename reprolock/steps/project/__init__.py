"""What every command starts from: the project, the machine, where its lake, its MLflow and its runs are."""
