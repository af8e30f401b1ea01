"""A run with secrets of many kinds in its environment, on real servers: none of these holds one that is not its own."""

from __future__ import annotations

import io
import secrets
from pathlib import Path

import pytest
import services
from command_line import Cli
from project import Project

from reprolock.lake.open import open_lake

pytestmark = [pytest.mark.live, pytest.mark.long]

FOREIGN = [
    "HF_TOKEN",
    "AWS_SECRET_ACCESS_KEY",
    "OPENAI_API_KEY",
    "PGPASSWORD",
    "OPENLINEAGE_API_KEY",
    "UV_PUBLISH_TOKEN",
]
"""Variables that are no business of lakeFS, MinIO or MLflow."""
SPEC = """\
[project]
name = "flights"

[lake]
endpoint = "{lakefs}"

[mlflow]
tracking_uri = "{mlflow}"

[datasets.train]
uri = "lakefs://{repository}/main/train/"
format = "csv"

[run]
command = ["python", "train.py"]

[environment]
isolated = false

[outputs.result]
path = "out"
publish = "lakefs://{repository}/main/result/"
"""
TRAIN = """
    import os
    from pathlib import Path
    import mlflow
    import reprolock
    Path("out").mkdir()
    Path("out/rows.txt").write_text(str(len(reprolock.current().dataset("train").pandas())))
    mlflow.log_param("names", sorted(os.environ))
    mlflow.log_metric("rows", 1)
"""


def test_servers_hold_their_own_secrets_alone(
    lakefs: services.LakeFS,
    object_store: services.ObjectStore,
    mlflow_server: services.Server,
    bare: None,
    cache: Path,
    cli: Cli,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lake_secret = lakefs.secret_access_key
    values = {name: f"c4nary{secrets.token_hex(8)}" for name in FOREIGN}
    for name, value in {**lakefs.lakectl, **values, "REPROLOCK_CACHE_DIR": str(cache), "HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.endpoint)
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", token := f"c4nary{secrets.token_hex(8)}")
    project, repository = Project(tmp_path), f"canary-{secrets.token_hex(4)}"
    lake = open_lake(lakefs.endpoint, tmp_path, lakefs.lakectl, tmp_path)
    lake.create_repository(repository, storage=f"{lakefs.storage}{repository}")
    lake.put(repository, "main", "train/a.csv", io.BytesIO(b"x\n1\n"))
    lake.commit(repository, "main", "First")
    lake.close()
    project.spec(SPEC.format(lakefs=lakefs.endpoint, mlflow=mlflow_server.endpoint, repository=repository))
    project.script(TRAIN)
    said = [cli(*arguments) for arguments in (["lock"], ["run"], ["verify"], ["hold", "repro.lock"])]
    said += [cli("run", "--data", f"train=lakefs://{repository}/nothing/train/"), cli("show", "nothing")]
    assert [each.code for each in said] == [0, 0, 0, 0, 2, 2], said
    run = project.record.run_id
    said.append(cli("replay", run))
    assert said[-1].code == 0, said[-1].err

    everywhere = [*values.values(), lake_secret, token, object_store.secret_key]
    folders = [(tmp_path, everywhere), (mlflow_server.folder, everywhere)]
    folders += [
        (lakefs.server.folder, [*values.values(), token]),
        (object_store.server.folder, [*values.values(), token, lake_secret]),
    ]
    found = [
        (str(path), value)
        for folder, strangers in folders
        for path in folder.rglob("*")
        if path.is_file()
        for content in [path.read_bytes()]
        for value in strangers
        if value.encode() in content
    ]
    assert found == []
    assert [value for each in said for value in everywhere if value in each.out + each.err] == []
    assert (mlflow_server.folder / "mlflow.db").stat().st_size > 100_000  # it is where the run is
    assert list((object_store.server.folder / "data").rglob(f"*{repository}*"))
