"""Every command of reprolock, as it is called on a project: for the tests that walk all of them."""

from __future__ import annotations

from pathlib import Path


def every_command(run: str, folder: Path) -> dict[str, list[list[str]]]:
    """Calls by the row of the table in docs/concepts/security.md; `run` is a recorded run, `folder` has its artifacts.

    Beside `folder` stand `key.pem`, its owner's private key, and `trust.toml`. `stack` and `hold` are missing: the first
    starts servers, the second needs lakeFS.
    """
    key, trust = str(folder.parent / "key.pem"), str(folder.parent / "trust.toml")
    return {
        "init": [["init"]],
        "lock": [["lock"], ["lock", "--upgrade"]],
        "add": [["add", "param", "new=1", "--no-lock"]],
        "remove": [["remove", "param", "new", "--no-lock"]],
        "lock --check": [["lock", "--check"]],
        "status": [["status"]],
        "verify": [["verify"], ["verify", "--deep"]],
        "run": [["run", "--offline"]],
        "run --dry-run": [["run", "--dry-run"]],
        "sweep": [["sweep", "--set", "depth=1,2", "--dry-run"]],
        "replay RUN": [["replay", str(folder)]],
        "replay RUN --dry-run": [["replay", str(folder), "--dry-run"]],
        "show": [["show"], ["show", run], ["show", "--lock"], ["show", run, "--json"]],
        "diff": [["diff", run, run], ["diff", "repro.lock", "repro.lock"]],
        "report": [["report"]],
        "runs": [["runs"]],
        "export": [["export", run, "--format", "prov"]],
        "same-data": [["same-data", run, run]],
        "impact": [["impact", "lakefs://example-repo/main/train/"]],
        "sync": [["sync"]],
        "audit": [["audit", str(folder), "--trust", trust]],
        "evidence": [["evidence", str(folder), "--for", "part11"]],
        "sign": [["sign", str(folder), "--name", "Ann"]],
        "bundle": [["bundle", str(folder), "-o", str(folder.parent / "run.zip")]],
        "key": [["key", "new", key + ".2"], ["key", "show", key]],
        "git-driver": [["git-driver", "install"], ["git-driver", "moved", "HEAD", "HEAD"], ["git-driver", "uninstall"]],
        "env": [["env"]],
        "cache": [["cache"], ["cache", "--trim", "--max-size", "1TB"]],
        "schema": [["schema"]],
        "completion": [["completion", "bash"]],
        "trust": [["trust", "--list"]],
        "doctor": [["doctor"]],
        "data …": [["data", "ls", "lakefs://example-repo/main/"], ["data", "log", "lakefs://example-repo/main"]],
    }
