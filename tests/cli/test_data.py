"""`data`: the lake by hand, as typed, on the embedded lake; the story of two experiments on both."""

from __future__ import annotations

import json
import re
import secrets
from pathlib import Path

import pytest
import services

MAIN = "lakefs://shop/main"


@pytest.fixture
def shop(tmp_path: Path, bare: None, monkeypatch: pytest.MonkeyPatch, cli) -> Path:
    """A folder with a lake that has one repository with one file."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a.csv").write_text("x\n1\n")
    for arguments in (
        ["create", "lakefs://shop"],
        ["put", str(tmp_path / "a.csv"), f"{MAIN}/raw/"],
        ["commit", MAIN, "-m", "First"],
    ):
        assert cli("data", *arguments).code == 0
    return tmp_path


def say(cli, *arguments: str) -> str:
    """What a command that succeeds prints."""
    said = cli("data", *arguments)
    assert (said.code, said.err) == (0, ""), said.err
    return said.out


def test_every_command_in_a_line(shop: Path, cli) -> None:
    assert say(cli, "create", "lakefs://other") == "Created lakefs://other with branch main\n"
    (shop / "more").mkdir()
    (shop / "more" / "b c.csv").write_text("x" * 1500)
    (shop / "more" / "ü.csv").write_text("")
    assert say(cli, "put", str(shop / "more"), f"{MAIN}/raw/deep") == f"Staged 2 objects, 2 kB, at {MAIN}/raw/deep\n"
    assert say(cli, "put", str(shop / "a.csv"), f"{MAIN}/copy.csv") == f"Staged 1 object, 4 B, at {MAIN}/copy.csv\n"
    committed = say(cli, "commit", MAIN, "-m", "More\n\nIn two parts", "--meta", "run=435")
    assert re.fullmatch(r"Committed shop/main: [0-9a-f]{12}  More\n", committed)
    assert say(cli, "ls", f"{MAIN}/") == "      4 B  copy.csv\n     2 kB  raw/  3 objects\n"
    assert say(cli, "ls", "-r", f"{MAIN}/raw/") == (
        "      4 B  raw/a.csv\n     2 kB  raw/deep/b c.csv\n      0 B  raw/deep/ü.csv\n"
    )
    assert say(cli, "branch", MAIN, "side") == "Created branch side of shop at main\n"
    assert say(cli, "tag", MAIN, "v1") == "Tagged shop main as v1\n"
    side = "lakefs://shop/side"
    assert say(cli, "rm", f"{side}/raw/deep") == f"Staged the removal of 2 objects at {side}/raw/deep\n"
    assert say(cli, "commit", side, "-m", "Fewer").startswith("Committed shop/side: ")
    assert say(cli, "diff", f"{MAIN}/", f"{side}/") == "- raw/deep/b c.csv\n- raw/deep/ü.csv\n"
    assert re.fullmatch(
        r"Merged side into shop/main: [0-9a-f]{12}  Merge side into main\n", say(cli, "merge", side, MAIN)
    )
    log = say(cli, "log", MAIN, "-n", "2").splitlines()
    assert [re.sub(r"^[0-9a-f]{12}  \d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ  ", "", line) for line in log] == [
        "Merge side into main",
        "More",
    ]
    assert "run = 435" in say(cli, "log", MAIN, "-v")
    assert (
        say(cli, "get", "lakefs://shop/v1/raw/", str(shop / "got"))
        == f"Wrote {shop}/got  (3 objects, 2 kB, read-only)\n"
    )
    assert (shop / "got" / "deep" / "b c.csv").read_text() == "x" * 1500
    assert (
        say(cli, "get", f"{MAIN}/copy.csv", str(shop / "one.csv"))
        == f"Wrote {shop}/one.csv  (1 object, 4 B, read-only)\n"
    )
    undone = say(cli, "revert", MAIN, "v1")
    assert re.fullmatch(r"Undid v1 on shop/main: [0-9a-f]{12}  .+\n", undone)
    assert say(cli, "ls", "-r", f"{MAIN}/") == "      4 B  raw/a.csv\n"


def test_what_is_staged_is_seen_on_its_branch_and_nowhere_else(shop: Path, cli) -> None:
    say(cli, "branch", MAIN, "side")
    say(cli, "put", str(shop / "a.csv"), f"{MAIN}/raw/b.csv")
    assert "raw/b.csv" in say(cli, "ls", "-r", f"{MAIN}/")
    assert "raw/b.csv" not in say(cli, "ls", "-r", "lakefs://shop/side/")


def test_repositories_branches_and_tags_are_listed(shop: Path, cli) -> None:
    say(cli, "create", "lakefs://other")
    say(cli, "branch", MAIN, "experiment1")
    say(cli, "tag", MAIN, "v1.0")
    assert say(cli, "ls") == "lakefs://other\nlakefs://shop\n"
    first = say(cli, "log", MAIN, "-n", "1")[:12]
    expected = f"branch  experiment1  {first}\nbranch  main         {first}\ntag     v1.0         {first}\n"
    assert say(cli, "ls", "lakefs://shop") == say(cli, "ls", "lakefs://shop/") == expected
    assert json.loads(say(cli, "ls", "--json", "lakefs://shop"))["refs"][0]["commit"].startswith(first)


def test_a_lake_without_a_repository_says_how_to_make_one(tmp_path: Path, bare: None, cli) -> None:
    assert say(cli, "ls") == "The lake file:lake has no repository; `reprolock data create lakefs://NAME` makes one\n"


def test_a_repository_without_a_branch(shop: Path, cli) -> None:
    [repository] = shop.rglob("shop.git")
    (repository / "refs" / "heads" / "main").unlink()
    assert say(cli, "ls", "lakefs://shop") == "The repository lakefs://shop has no branch and no tag\n"


def test_a_tag_is_removed(shop: Path, cli) -> None:
    say(cli, "tag", MAIN, "v1")
    assert say(cli, "tag", "--delete", "lakefs://shop/v1") == "Removed tag v1 of shop\n"
    assert "v1" not in say(cli, "ls", "lakefs://shop")
    said = cli("data", "tag", MAIN)
    assert (said.code, said.err.splitlines()[0]) == (2, "error: write the NAME of a new tag, or --delete")


def test_what_is_staged_is_listed(shop: Path, cli) -> None:
    assert say(cli, "status", MAIN) == f"Nothing is staged at {MAIN}/\n"
    say(cli, "put", str(shop / "a.csv"), f"{MAIN}/new/b.csv")
    say(cli, "rm", f"{MAIN}/raw/a.csv")
    assert say(cli, "status", MAIN) == (
        f"+ new/b.csv\n- raw/a.csv\n2 changes staged; `reprolock data commit {MAIN} -m TEXT` commits them\n"
    )
    assert say(cli, "status", f"{MAIN}/new/") == (
        f"+ new/b.csv\n1 change staged; `reprolock data commit {MAIN} -m TEXT` commits it\n"
    )
    assert say(cli, "status", f"{MAIN}/old") == f"Nothing is staged at {MAIN}/old\n"
    say(cli, "commit", MAIN, "-m", "Both")
    assert say(cli, "status", MAIN) == f"Nothing is staged at {MAIN}/\n"


def test_a_diff_of_the_same_says_so(shop: Path, cli) -> None:
    say(cli, "branch", MAIN, "side")
    say(cli, "put", str(shop / "a.csv"), "lakefs://shop/side/b.csv")
    assert say(cli, "diff", MAIN, "lakefs://shop/side") == (
        f"No difference between {MAIN}/ and lakefs://shop/side/; what is staged does not count\n"
    )


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["ls", "lakefs://shpo"], 2, 'no repository "shpo" in the lake file:lake'),
        (["ls", "lakefs://"], 2, 'invalid value for \'[URI]\': "" is not a repository name: 3 to 63 characters of a-z, 0-9 and "-", starting with a letter or digit'),
        (["status", "lakefs://shop"], 2, 'invalid value for \'URI\': "lakefs://shop" names no branch, tag or commit; write "lakefs://shop/main/"'),
        (["status", "lakefs://shop/mian"], 2, 'no branch, tag or commit "mian" in the repository "shop"'),
        (["tag", "-d", MAIN], 2, 'no tag "main" in the repository "shop"'),
        (["put", "{root}/a.csv", f"{MAIN}/a\\b"], 2, 'invalid value for \'URI\': "a\\b" contains a backslash, which Windows takes for a separator of folders'),
        (["ls", "lakefs://shpo/main/"], 2, 'no repository "shpo" in the lake file:lake'),
        (["ls", "lakefs://shop/mian/"], 2, 'no branch, tag or commit "mian" in the repository "shop"'),
        (["ls", f"{MAIN}/rwa"], 2, f"nothing is at {MAIN}/rwa"),
        (["get", f"{MAIN}/rwa", "x"], 2, f"nothing is at {MAIN}/rwa"),
        (["get", f"{MAIN}/raw/../..", "x"], 2, 'invalid value for \'URI\': "raw/../.." contains "." or ".." as a segment, which could lead out of its folder'),
        (["get", f"{MAIN}/raw/a.csv", "{root}/a.csv"], 2, "{root}/a.csv is already there"),
        (["put", "{root}/nothing", f"{MAIN}/x"], 2, "{root}/nothing does not exist"),
        (["put", "{root}/a.csv", f"{MAIN}/../x"], 2, 'invalid value for \'URI\': "../x" contains "." or ".." as a segment, which could lead out of its folder'),
        (["put", "{root}/a.csv", f"{MAIN}/.git/config"], 9, f'{MAIN}/.git cannot be stored: Git keeps the name ".git" for itself'),
        (["put", "{root}/a.csv", "lakefs://shop/v1/x"], 2, 'no branch "v1" in the repository "shop"'),
        (["rm", f"{MAIN}/rwa"], 2, f"nothing is at {MAIN}/rwa"),
        (["create", "lakefs://shop"], 9, 'the repository "shop" is already in the lake file:lake'),
        (["commit", MAIN, "-m", "Nothing"], 9, 'nothing is staged on the branch "main" of the repository "shop"'),
        (["branch", MAIN, "main"], 9, 'the branch "main" is already in the repository "shop"'),
        (["branch", MAIN, "a b"], 9, '"a b" cannot be the name of a branch: it must have letters, digits, "_" and "-" only, and not start with "-"'),
        (["merge", MAIN, "lakefs://shop/old"], 9, '"main" has nothing to merge into the branch "old" of the repository "shop"'),
        (["merge", MAIN, "lakefs://other/main"], 2, 'cannot merge between two repositories: "shop" and "other"'),
        (["diff", f"{MAIN}/", "lakefs://other/main/"], 2, 'cannot compare two repositories: "shop" and "other"'),
        (["commit", MAIN, "-m", "x", "--meta", "run"], 2, 'invalid value for --meta: "run" is not KEY=VALUE'),
        (["commit", MAIN], 2, "missing option '-m' / '--message'"),
        (["create", MAIN], 2, f"invalid value for 'REPOSITORY': \"{MAIN}\" is more than is needed here; write \"lakefs://REPO\""),
        (["log", f"{MAIN}/raw"], 2, f"invalid value for 'URI': \"{MAIN}/raw\" is more than is needed here; write \"lakefs://REPO/REF\""),
        (["ls", "shop/main"], 2, 'invalid value for \'[URI]\': "shop/main" is not a lake address; write "lakefs://REPOSITORY/REF/PATH"'),
    ],
)  # fmt: skip
def test_what_cannot_be_done(shop: Path, cli, arguments: list[str], code: int, message: str) -> None:
    say(cli, "tag", MAIN, "v1")
    say(cli, "branch", MAIN, "old")
    said = cli("data", *(argument.replace("{root}", str(shop)) for argument in arguments))
    first, *rest = said.err.splitlines()
    assert rest[0].startswith("hint: ")
    assert (said.code, said.out) == (code, ""), said.err
    assert first == f"error: {message.replace('{root}', str(shop))}"
    assert not (shop / "x").exists()
    assert (shop / "a.csv").read_text() == "x\n1\n"
    assert say(cli, "ls", "-r", f"{MAIN}/") == "      4 B  raw/a.csv\n"


def test_a_conflict_is_listed_and_nothing_is_half_merged(shop: Path, cli) -> None:
    side = "lakefs://shop/side"
    say(cli, "branch", MAIN, "side")
    for branch, text in ((MAIN, "x\n2\n"), (side, "x\n3\n")):
        (shop / "a.csv").write_text(text)
        say(cli, "put", str(shop / "a.csv"), f"{branch}/raw/a.csv")
        say(cli, "put", str(shop / "a.csv"), f"{branch}/{branch[-4:]}.csv")
        say(cli, "commit", branch, "-m", f"Change on {branch}")
    before = say(cli, "log", MAIN, "--json")
    said = cli("data", "merge", side, MAIN)
    assert said == (
        9,
        "",
        'error: "side" and the branch "main" of the repository "shop" both changed 1 path\n  raw/a.csv\n'
        'hint: make the two agree on a branch, then merge again; "main" is as it was\n',
    )
    assert say(cli, "log", MAIN, "--json") == before
    assert "side.csv" not in say(cli, "ls", "-r", f"{MAIN}/")


def test_json(shop: Path, cli) -> None:
    document = json.loads(say(cli, "ls", f"{MAIN}/", "--json"))
    assert document == {"uri": f"{MAIN}/", "entries": [{"path": "raw/", "objects": 1, "bytes": 4}]}
    [commit, start] = json.loads(say(cli, "log", MAIN, "--json"))["commits"]
    assert (commit["message"], commit["parents"]) == ("First", [start["id"]])


def test_the_lake_is_that_of_repro_toml(shop: Path, cli) -> None:
    (shop / "repro.toml").write_text(
        '[project]\nname = "x"\n[lake]\nendpoint = "file:elsewhere"\n[run]\ncommand = ["x"]\n'
    )
    said = cli("data", "ls", f"{MAIN}/")
    assert said.err == (
        "error: the lake file:elsewhere is not there yet\n"
        "hint: make it with its first repository: `reprolock data create lakefs://shop`\n"
    )
    assert cli("data", "ls", f"{MAIN}/", "--lake", "file:lake").code == 0
    said = cli("data", "ls", f"{MAIN}/", "--lake", "lake")
    assert said.code == 2
    assert said.err.startswith('error: --lake names no lake: "lake"\nhint: write "file:lake" for an embedded lake')


@pytest.fixture(params=["git", "lakefs"])
def repository(request: pytest.FixtureRequest, tmp_path: Path, bare: None, monkeypatch: pytest.MonkeyPatch, cli) -> str:
    """The address of a new repository on each lake; on lakeFS over a bucket of MinIO."""
    monkeypatch.setenv("HOME", str(tmp_path))
    address, storage = f"lakefs://story-{secrets.token_hex(4)}", []
    if request.param == "lakefs":
        server: services.LakeFS = request.getfixturevalue("lakefs")
        for name, value in server.lakectl.items():
            monkeypatch.setenv(name, value)
        storage = ["--storage", f"{server.storage}{address.removeprefix('lakefs://')}"]
    say(cli, "create", address, *storage)
    return address


def test_two_experiments(repository: str, tmp_path: Path, cli) -> None:
    """Two branches, a file on each, committed and tagged, merged one after the other: a tag lists what it had."""
    (tmp_path / "base.csv").write_text("0")
    say(cli, "put", str(tmp_path / "base.csv"), f"{repository}/main/")
    say(cli, "commit", f"{repository}/main", "-m", "Base")
    for number in ("1", "2"):
        branch = f"{repository}/experiment{number}"
        say(cli, "branch", f"{repository}/main", f"experiment{number}")
        (tmp_path / f"model{number}.bin").write_text(number)
        say(cli, "put", str(tmp_path / f"model{number}.bin"), f"{branch}/")
        say(cli, "commit", branch, "-m", f"Experiment {number}", "--meta", f"run={number}")
        say(cli, "merge", branch, f"{repository}/main")
        say(cli, "tag", f"{repository}/main", f"my-ml-experiment{number}")
    names = {
        ref: [entry["path"] for entry in json.loads(say(cli, "ls", "-r", f"{repository}/{ref}/", "--json"))["entries"]]
        for ref in ("my-ml-experiment1", "my-ml-experiment2", "main", "experiment1")
    }
    assert names == {
        "my-ml-experiment1": ["base.csv", "model1.bin"],
        "my-ml-experiment2": ["base.csv", "model1.bin", "model2.bin"],
        "main": ["base.csv", "model1.bin", "model2.bin"],
        "experiment1": ["base.csv", "model1.bin"],
    }
    say(cli, "get", f"{repository}/my-ml-experiment1/model1.bin", str(tmp_path / "again.bin"))
    assert (tmp_path / "again.bin").read_text() == "1"
