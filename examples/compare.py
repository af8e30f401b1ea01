"""The runs of an experiment side by side, as MLflow has them: what went in, what came out.

`python compare.py EXPERIMENT`, in the folder of a project or with MLFLOW_TRACKING_URI set.
"""

import os
import re
import sys

import mlflow

mlflow.set_tracking_uri(os.environ.get("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db"))
runs = mlflow.search_runs(experiment_names=[sys.argv[1]], order_by=["attributes.start_time"])

columns = {"tags.mlflow.runName": "run"}
for pattern in (r"params\.(.+)", r"tags\.reprolock\.dataset\.(.+)\.commit", r"metrics\.(.+)"):
    columns |= {name: found[1] for name in sorted(runs.columns) if (found := re.fullmatch(pattern, name))}
for name in columns:
    if name.endswith(".commit"):
        runs[name] = runs[name].str[:12]
print(runs[list(columns)].rename(columns=columns).to_string(index=False))
