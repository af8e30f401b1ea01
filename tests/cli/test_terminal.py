"""What others wrote is shown, and steers no terminal: every command, on a project made of such names."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import Cli
from project import Project

from reprolock.cli.main import COMMANDS
from reprolock.cli.options import align
from reprolock.cli.terminal import say, styled
from reprolock.model.words import command_line, json_plain, plain

EVIL = "\x1b[2J\x1b]0;owned\x07\r\u202e\u2066\u200b\u009b31m\ud800"
WITHOUT_SURROGATE = EVIL.replace("\ud800", "")
STEERS = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)
REPROLOCK = (sys.executable, "-m", "reprolock")


def test_a_line_shows_what_would_steer_it(capfd: pytest.CaptureFixture[str]) -> None:
    say(f"a{EVIL}\nb")
    assert capfd.readouterr().out == ("a\\x1b[2J\\x1b]0;owned\\x07\\r\\u202e\\u2066\\u200b\\x9b31m\\ud800\\nb\n")


def test_only_reprolocks_own_colours_are_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr("click.echo", lambda text, **_: said.append(text))
    say(styled(f"ours{EVIL[:4]}", fg="red", bold=True) + "\x1b[8mhidden")
    assert said == ["\x1b[31;1mours\\x1b[2J\x1b[0m\\x1b[8mhidden\n"]


def test_columns_are_as_wide_as_what_is_shown() -> None:
    assert [plain(line) for line in align([["\x1b", "x"], ["abcdef", "y"]])] == ["\\x1b    x", "abcdef  y"]


def test_a_command_is_shown_as_a_shell_reads_it() -> None:
    arguments = ["python", "two words", "it's", "\x1b[2J\n", "\udcff", "\\", "$(id)"]
    shown = command_line(arguments)
    assert shown == "python 'two words' 'it'\"'\"'s' $'\\x1b[2J\\n' $'\\xff' '\\' '$(id)'"
    echoed = subprocess.run(["bash", "-c", f"printf '%s\\0' {shown}"], capture_output=True, check=True).stdout
    assert [os.fsdecode(item) for item in echoed.split(b"\0")[:-1]] == arguments


def test_json_is_exact_and_inert() -> None:
    document = {"name": EVIL, "more": [EVIL, "plain ü"]}
    shown = json_plain(json.dumps(document, ensure_ascii=False, indent=2))
    assert json.loads(shown) == document
    assert not STEERS.search(shown)
    assert "plain ü" in shown


SPEC = f"""\
[project]
name = {json.dumps("flights" + WITHOUT_SURROGATE)}

[lake]
endpoint = "file:lake"

[datasets.train]
uri = "lakefs://example-repo/main/train/"
format = "csv"
options = {{ header = true, nullValue = {json.dumps(WITHOUT_SURROGATE)} }}

[params]
{json.dumps("p" + WITHOUT_SURROGATE)} = {json.dumps(WITHOUT_SURROGATE)}

[run]
command = ["python", "-c", "import os; os.makedirs('out'); open('out/a', 'w').write('x')", {json.dumps(WITHOUT_SURROGATE)}]
code = ["train.py"]
env = {{ EVIL = {json.dumps(WITHOUT_SURROGATE)} }}

[outputs.result]
path = "out"
compare = "bytes"

[environment]
isolated = false
"""

WALK: dict[str, list[list[str]]] = {
    "init": [["init"], ["init", f"lakefs://{EVIL}/main/"]],
    "lock": [["lock", "--check"], ["lock", "--upgrade"], ["lock", f"--upgrade-dataset={EVIL}"]],
    "status": [["status"]],
    "run": [["run", "--dry-run"], ["run", f"--data=train={EVIL}"], ["run", f"--set={EVIL}"], ["run", f"--tag={EVIL}"]],
    "replay": [["replay", EVIL], ["replay", "RUN", "--dry-run"], ["replay", "FORGED"]],
    "verify": [["verify"]],
    "diff": [["diff", "repro.lock", EVIL], ["diff", "RUN", "RUN"], ["diff", "RUN", "RUN", "--format=markdown"]],
    "impact": [["impact", f"lakefs://{EVIL}/main"], ["impact", "lakefs://example-repo/main/train/"]],
    "same-data": [["same-data", "RUN", EVIL]],
    "export": [["export", "RUN", "--format=prov"], ["export", EVIL, "--format=openlineage"]],
    "show": [["show"], ["show", "RUN"], ["show", EVIL], ["show", "--lock"], ["show", "FORGED"]],
    "sync": [["sync"], ["sync", f"--tracking-uri=http://127.0.0.1:1/{EVIL}"]],
    "env": [["env"]],
    "cache": [["cache"]],
    "data": [
        ["data", "ls"],
        ["data", "ls", "-r", "lakefs://example-repo/main/"],
        ["data", "log", "lakefs://example-repo/main", "-v"],
        ["data", "diff", "lakefs://example-repo/main", f"lakefs://example-repo/{EVIL}"],
        ["data", "get", f"lakefs://example-repo/main/{EVIL}", "there"],
        ["data", "put", EVIL, "lakefs://example-repo/main/x"],
    ],
    "doctor": [["doctor"]],
    "schema": [["schema", EVIL]],
    "completion": [["completion", EVIL]],
    "materialise": [["materialise", EVIL, EVIL, EVIL]],
    "key": [["key", "show", EVIL]],
    "sign": [["sign", EVIL, f"--name={EVIL}", f"--meaning={EVIL}"]],
    "audit": [["audit", "RUN", f"--trust={EVIL}"], ["audit", EVIL, "--trust=repro.toml"]],
    "evidence": [
        ["evidence", "RUN", "--for=part11"],
        ["evidence", "FORGED", "--for=sr26-2"],
        ["evidence", EVIL, "--for=part11"],
    ],
    "bundle": [["bundle", "RUN", f"--output={EVIL}.zip"], ["bundle", EVIL], ["bundle", "RUN", f"--platform={EVIL}"]],
    "runs": [["runs"], ["runs", f"--where={EVIL}"], ["runs", "--replays", f"--tracking-uri=http://127.0.0.1:1/{EVIL}"]],
    "report": [["report"], ["report", f"--base={EVIL}"], ["report", "--run", "--format=json"]],
    "hold": [["hold", "ls"], ["hold", "check"], ["hold", "add", EVIL]],
    "git-driver": [["git-driver", "textconv", "repro.lock"], ["git-driver", EVIL]],
    "sweep": [["sweep", f"--set={EVIL}"], ["sweep", f"--data=train={EVIL}"], ["sweep", f"--set=x={EVIL}", "--dry-run"]],
    "add": [
        ["add", "dataset", EVIL, f"lakefs://{EVIL}/main/"],
        ["add", "package", EVIL],
        ["add", "output", "more", EVIL, "--no-lock"],
        ["add", "param", f"{EVIL}=1", "--no-lock"],
    ],
    "remove": [["remove", kind, EVIL, "--no-lock"] for kind in ("dataset", "package", "output", "param")],
    EVIL: [[EVIL], ["lock", f"--{EVIL}"]],
}
"""Every command but `stack` and `ui`, which start servers and read nothing foreign."""


def test_every_command_on_a_project_of_evil_names(project: Project, cli: Cli, tmp_path: Path) -> None:
    assert set(COMMANDS) - set(WALK) <= {"stack", "trust", "ui"}
    project.spec(SPEC)
    project.lake.put("example-repo", "main", f"train/{EVIL.replace(chr(13), '')}.csv".replace("\ud800", ""), _bytes())
    project.lake.commit("example-repo", "main", f"a{WITHOUT_SURROGATE}", {"k": WITHOUT_SURROGATE})
    assert cli("lock").code == 0
    for arguments in (["init", "-q"], ["add", "-A", ":!lake", ":!mlflow.db"], ["commit", "-qm", "One"]):
        subprocess.run(["git", "-c", "user.name=Ann", "-c", "user.email=a@b", *arguments], cwd=tmp_path, check=True)
    ran = cli("run", f"--name=n{WITHOUT_SURROGATE}")
    assert (ran.code, STEERS.search(ran.out + ran.err)) == (0, None), ran
    record = project.record
    forged = tmp_path / "forged"
    forged.mkdir()
    (forged / "record.json").write_text(record.model_dump_json().replace('"FINISHED"', '"FAI\\u001b[2JLED"'))
    wrong = []
    for calls in WALK.values():
        for call in calls:
            arguments = [{"RUN": record.run_id[:8], "FORGED": str(forged)}.get(item, item) for item in call]
            for given in (arguments, [*arguments, "--json"]):
                said = cli(*given)
                if said.code == 70 or STEERS.search(said.out + said.err):
                    wrong.append((given, said))
    assert wrong == []
    shown = json.loads(cli("show", record.run_id[:8], "--json").out)
    assert shown["env"] == {"EVIL": WITHOUT_SURROGATE}


def _bytes():  # type: ignore[no-untyped-def]
    import io

    return io.BytesIO(b"x,y\n1,2\n")


FULL = pytest.param(
    ">/dev/full",
    marks=pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="this machine has no /dev/full"),
)


@pytest.mark.parametrize("redirected", [">&-", FULL], ids=["closed", "full"])
@pytest.mark.parametrize("call", [["schema"], ["--help"], ["--version"], ["completion", "bash"]])
def test_a_closed_or_full_output_is_a_sentence(call: list[str], redirected: str, tmp_path: Path) -> None:
    done = subprocess.run(
        ["bash", "-c", f'"$@" {redirected}', "-", *REPROLOCK, *call], cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (8, "")
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr
    assert "bug" not in done.stderr


def test_a_working_folder_that_is_gone(tmp_path: Path) -> None:
    shell = 'mkdir gone; cd gone; rmdir ../gone; "$@"'
    done = subprocess.run(
        ["bash", "-c", shell, "-", *REPROLOCK, "status"], cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (
        8,
        "error: the current folder no longer exists\nhint: change to a folder that exists and try again\n",
    )
