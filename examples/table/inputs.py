"""What a run read, looked up in MLflow by the data: by a dataset's name, by its digest, by its source."""

import json
import os

import mlflow

mlflow.set_tracking_uri(os.environ.get("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db"))


def runs_with(condition):
    """IDs of the runs of the experiment for which the condition holds."""
    found = mlflow.search_runs(experiment_names=["clinic"], filter_string=condition, output_format="list")
    return [run.info.run_id for run in found]


[run_id] = runs_with("dataset.name LIKE 'measurements %'")  # "measurements main@1a2b3c4"
run = mlflow.get_run(run_id)
tags = run.data.tags
commit = tags["lakefs_head_commit_id"]
print(f"lakefs_repo {tags['lakefs_repo']}   lakefs_branch {tags['lakefs_branch']}   lakefs_head_commit_id {commit}")

for given in run.inputs.dataset_inputs:
    dataset, source = given.dataset, json.loads(given.dataset.source)
    assert runs_with(f"dataset.digest = '{dataset.digest}'") == [run_id]
    assert source["path"] == f"s3://clinic/{commit}/measurements"
    columns = json.loads(dataset.schema)["mlflow_colspec"]
    print(f"{dataset.name}   digest {dataset.digest}   {dataset.source_type} {source['path']}   {len(columns)} columns")

assert runs_with(f"tags.lakefs_head_commit_id = '{commit}'") == [run_id]
print(f"predictions are at commit {tags['reprolock.published.predictions']}")
