"""Which files are the code, what git says about them, and that exactly these arrive."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from calls import calls_of

from reprolock.environment.code.code_file import stays_inside
from reprolock.environment.code.git import absent_submodules, blob_at, clone_at, top_folder
from reprolock.environment.code.lfs import lfs_pointers
from reprolock.environment.code.links import links_elsewhere
from reprolock.environment.code.snapshot import BY_GIT, BY_NAME, BY_WALK, Snapshot, place, snapshot
from reprolock.errors import MachineError, UsageError
from reprolock.files.secrets import Scanner

GIT = ["git", "-c", "user.name=A", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]
GIT += ["-c", "protocol.file.allow=always", "-c", "init.defaultBranch=main"]


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run([*GIT, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def write(folder: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A committed project: a script, a package, an ignore file, and what is never code."""
    root = tmp_path / "project"
    write(
        root,
        {
            "train.py": "print(1)\n",
            "src/a.py": "A = 1\n",
            "src/ä b.py": "B = 1\n",
            "run.sh": "#!/bin/sh\n",
            ".gitignore": "/data/\n*.log\n",
            "repro.toml": "",
            "repro.lock": "",
        },
    )
    (root / "run.sh").chmod(0o755)
    git(root, "init", "-q")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "first")
    return root


TRACKED = (".gitignore", "run.sh", "src/a.py", "src/ä b.py", "train.py")


def files(taken: Snapshot) -> tuple[str, ...]:
    assert taken.state.files == tuple(file.path for file in taken.files)
    return taken.state.files


def test_what_git_tracks_and_what_is_new_and_not_ignored(project: Path) -> None:
    clean = snapshot(project, None)
    assert files(clean) == TRACKED
    assert clean.rule == BY_GIT
    assert clean.state.bytes == sum((project / path).stat().st_size for path in TRACKED)
    assert [file.mode for file in clean.files] == ["100644", "100755", "100644", "100644", "100644"]
    assert (clean.state.commit, clean.state.branch) == (git(project, "rev-parse", "HEAD"), "main")
    assert (clean.state.remote, clean.state.dirty) == (None, False)

    write(project, {"new.py": "", "data/big.csv": "1", "x.log": "1", "repro.toml": "changed"})
    new = snapshot(project, None)
    assert files(new) == (".gitignore", "new.py", "run.sh", "src/a.py", "src/ä b.py", "train.py")
    assert new.state.dirty
    assert new.state.digest != clean.state.digest


def test_what_is_never_code(project: Path) -> None:
    own = {
        ".reprolock/runs/x": "",
        ".env": "KEY=1",
        "sub/.env.local": "",
        "__pycache__/a.pyc": "",
        "lake/objects/x": "",
    }
    write(project, {**own, "out/predictions/part-0": "", "outside.py": "", ".repro.lock.aa.reprolock-tmp": ""})
    assert files(snapshot(project, None, ("lake", "out/predictions", "mlflow.db"))) == (
        *(".gitignore", "outside.py", "run.sh", "src/a.py", "src/ä b.py", "train.py"),
    )


def test_named_code_is_these_files_and_folders(project: Path) -> None:
    write(project, {"src/new.py": "", "src/x.log": "", "made.log": "", "other.py": ""})
    taken = snapshot(project, ("src/", "./train.py", "made.log"))
    assert files(taken) == (
        "made.log",
        "src/a.py",
        "src/new.py",
        "src/ä b.py",
        "train.py",
    )  # a file named outright counts
    assert taken.rule == BY_NAME
    assert files(snapshot(project, ("src/a.py",))) == ("src/a.py",)
    assert not snapshot(project, ("src/a.py",)).state.dirty
    (project / "src/a.py").unlink()
    assert not snapshot(project, ("train.py",)).state.dirty
    assert snapshot(project, ("src",)).state.dirty


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("scr", 'run.code names "scr", which is not there', "correct it, or make the file"),
        (
            "data",
            'run.code names "data", and git ignores all of its files',
            "name its files one by one, or remove it from .gitignore",
        ),
        (
            ".env",
            'run.code names ".env", which is never part of the code',
            "remove it: reprolock's files, .env*, lakes, outputs and MLflow's files are left out of every run",
        ),
    ],
)
def test_a_name_that_names_nothing(project: Path, name: str, message: str, hint: str) -> None:
    write(project, {"data/a.csv": "", ".env": ""})
    with pytest.raises(UsageError) as error:
        snapshot(project, (name,))
    assert (error.value.message, error.value.hint, error.value.exit_code) == (message, hint, 2)


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "src/a.py").write_text("A = 2\n"),
        lambda root: (root / "src/a.py").unlink(),
        lambda root: (root / "src/a.py").chmod(0o755),
        lambda root: ((root / "src/a.py").unlink(), (root / "src/a.py").symlink_to("ä b.py")),
        lambda root: (root / "src/c.py").touch(),
        lambda root: (git(root, "rm", "-q", "--cached", "src/a.py"), write(root, {".gitignore": "a.py\n"})),
    ],
    ids=["edited", "deleted", "made executable", "made a link", "new", "no longer tracked"],
)
def test_dirty_and_digest_follow_the_files(project: Path, change: object) -> None:
    before = snapshot(project, None).state
    change(project)  # type: ignore[operator]
    after = snapshot(project, None).state
    assert after.dirty
    assert after.digest != before.digest
    assert after.commit == before.commit


def test_the_digest_is_of_the_files_alone(project: Path, tmp_path: Path) -> None:
    first = snapshot(project, None)
    os.utime(project / "train.py", (1, 1))
    git(project, "commit", "-q", "--allow-empty", "-m", "second")
    shutil.copytree(project, tmp_path / "elsewhere", ignore=shutil.ignore_patterns(".git"))
    assert snapshot(project, None).state.digest == first.state.digest
    assert snapshot(tmp_path / "elsewhere", None).state.digest == first.state.digest
    # The form of the digest is part of every record. In a shell:
    # printf '["a.py","100644","%s"]\n' $(printf x | sha256sum | cut -d' ' -f1) | sha256sum
    write(tmp_path / "one", {"a.py": "x"})
    assert (
        snapshot(tmp_path / "one", None).state.digest
        == "5c316dd646979e3ea9f4c63b55dd77584da0e76c2a0d2fb44219d8449c3899d5"
    )


def test_line_ends_that_git_translates_are_no_change(project: Path) -> None:
    git(project, "config", "core.autocrlf", "true")
    (project / "train.py").write_bytes(b"print(1)\r\n")
    assert not snapshot(project, None).state.dirty


def test_a_file_that_git_lfs_fetched_is_no_change(project: Path) -> None:
    data = b"weights" * 100
    pointer = (
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{hashlib.sha256(data).hexdigest()}\nsize {len(data)}\n"
    )
    write(project, {"model.bin": pointer})
    git(project, "add", "model.bin")
    git(project, "commit", "-q", "-m", "lfs")
    (project / "model.bin").write_bytes(data)
    assert not snapshot(project, None).state.dirty
    (project / "model.bin").write_bytes(data + b"!")
    assert snapshot(project, None).state.dirty


def test_files_that_git_lfs_did_not_fetch_are_found(project: Path) -> None:
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'1' * 64}\nsize 5\n"
    write(project, {"model.bin": pointer, "notes.txt": f"of git-lfs:\n{pointer}", "src/w.pt": pointer})
    assert list(lfs_pointers(snapshot(project, None), project)) == ["model.bin", "src/w.pt"]


def test_links_to_what_is_not_among_the_code_are_found(project: Path) -> None:
    """git-annex's, fetched or not, one to what git ignores and one through another; not those to code, or to an output."""
    write(project, {".git/annex/objects/x.csv": "1\n", "data/b.csv": "2\n"})
    links = {
        "annex.csv": ".git/annex/objects/x.csv",
        "gone.csv": ".git/annex/objects/y.csv",
        "src/b.csv": "../data/b.csv",
        "src/c.csv": "b.csv",
        "again.py": "src/a.py",
        "lib": "src",
        "here": ".",
        "newest": "out/model/7",
    }
    for name, target in links.items():
        (project / name).symlink_to(target)
    assert list(links_elsewhere(snapshot(project, None), project, ["out/model"])) == [
        ("annex.csv", ".git/annex/objects/x.csv"),
        ("gone.csv", ".git/annex/objects/y.csv"),
        ("src/b.csv", "data/b.csv"),
        ("src/c.csv", "data/b.csv"),
    ]


@pytest.mark.parametrize("folder", ["team", " team "])
def test_a_project_in_a_folder_of_a_repository(project: Path, folder: str) -> None:
    write(project / folder, {"fit.py": "", "repro.toml": ""})
    git(project, "add", "-A")
    git(project, "commit", "-q", "-m", "team")
    write(project, {"elsewhere.py": ""})
    taken = snapshot(project / folder, None)
    assert files(taken) == ("fit.py",)
    assert not taken.state.dirty
    write(project / folder, {"fit.py": "1"})
    assert snapshot(project / folder, None).state.differs == ("fit.py modified",)


def test_a_repository_whose_name_ends_in_a_blank(project: Path) -> None:
    renamed = project.rename(project.with_name("project "))
    assert top_folder(renamed) == renamed


def test_a_file_is_compared_with_its_own_commit_and_not_with_a_namesakes(project: Path) -> None:
    """git reads the paths that it is given on its standard input from the repository's top folder on."""
    write(project, {"team/train.py": "print(1)\n", "team/a.txt": "a $Id$\n", "team/.gitattributes": "*.txt ident\n"})
    git(project, "add", "-A")
    git(project, "commit", "-q", "-m", "team")
    (project / "team/a.txt").unlink()
    git(project, "checkout", "team/a.txt")
    assert snapshot(project / "team", None).state.differs == ()
    git(project, "update-index", "--skip-worktree", "team/train.py")
    write(project, {"team/train.py": "print(2)\n"})
    assert snapshot(project / "team", None).state.differs == (
        "train.py differs from the commit, though git status does not show it",
    )


def test_submodules_and_repositories_inside_bring_their_files(project: Path, tmp_path: Path) -> None:
    library = tmp_path / "library"
    write(library, {"lib.py": "L = 1\n", ".gitignore": "*.tmp\n"})
    git(library, "init", "-q")
    git(library, "add", "-A")
    git(library, "commit", "-q", "-m", "library")
    git(project, "submodule", "--quiet", "add", str(library), "vendor/library")
    git(project, "commit", "-q", "-m", "submodule")
    inner = ("vendor/library/.gitignore", "vendor/library/lib.py")
    assert files(snapshot(project, None)) == tuple(sorted((*TRACKED, ".gitmodules", *inner), key=str.encode))
    assert not snapshot(project, None).state.dirty
    write(project, {"vendor/library/x.tmp": "", "vendor/library/new.py": ""})
    assert files(snapshot(project, ("vendor",))) == (*inner, "vendor/library/new.py")
    assert snapshot(project, None).state.dirty
    (project / "vendor/library/new.py").unlink()
    write(project, {"vendor/library/lib.py": "L = 2\n"})
    git(project / "vendor/library", "commit", "-q", "-am", "moved on")
    assert snapshot(project, None).state.dirty  # the outer commit names another one

    git(library, "clone", "-q", str(library), str(project / "cloned"))
    assert "cloned/lib.py" in files(snapshot(project, None))


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://me:secret@example.com/a/b.git?token=1", "https://example.com/a/b.git"),
        ("ssh://git@example.com:22/a/b.git", "ssh://example.com:22/a/b.git"),
        ("git@example.com:a/b.git", "git@example.com:a/b.git"),
        ("me@example.com:a/b.git", "example.com:a/b.git"),
        ("/srv/a@b.git", "/srv/a@b.git"),
        ("//me:secret@example.com/a/b.git", "//example.com/a/b.git"),
        ("https:/me:secret@example.com/a@b.git#x", "https://example.com/a@b.git"),
        ("git@me:secret@example.com:a/b.git", "example.com:a/b.git"),
        ("git+https://me:secret@[::1/b.git", "git+https://[::1/b.git"),
        ("https://[x", "https://[x"),
    ],
)
def test_the_remote_carries_no_user_and_no_key(project: Path, address: str, shown: str) -> None:
    git(project, "remote", "add", "origin", address)
    assert snapshot(project, None).state.remote == shown


def test_a_clone_has_the_remote_without_its_key(project: Path, tmp_path: Path) -> None:
    git(project, "remote", "add", "origin", "https://me:secret@example.com/a/b.git")
    (tmp_path / "other").mkdir()
    clone = clone_at(project, git(project, "rev-parse", "HEAD"), tmp_path / "other")
    assert git(clone, "config", "remote.origin.url") == "https://example.com/a/b.git"
    assert "secret" not in (clone / ".git" / "config").read_text()


def test_a_repository_without_a_commit_and_one_off_every_branch(project: Path, tmp_path: Path) -> None:
    git(project, "checkout", "-q", "--detach")
    assert snapshot(project, None).state.branch is None
    write(tmp_path / "young", {"a.py": ""})
    git(tmp_path / "young", "init", "-q")
    state = snapshot(tmp_path / "young", None).state
    assert (state.commit, state.branch, state.dirty, state.files) == (None, "main", True, ("a.py",))


def test_a_merge_conflict_lists_each_file_once(project: Path) -> None:
    git(project, "checkout", "-q", "-b", "other")
    for text, branch in (("A = 2\n", "other"), ("A = 3\n", "main")):
        git(project, "checkout", "-q", branch)
        write(project, {"src/a.py": text})
        git(project, "commit", "-q", "-am", branch)
    assert subprocess.run([*GIT, "merge", "-q", "other"], cwd=project, capture_output=True).returncode
    taken = snapshot(project, None)
    assert files(taken) == TRACKED
    assert taken.state.dirty


def status(folder: Path) -> str:
    return git(folder, "status", "--porcelain")


def test_what_differs_is_named_with_what_git_says_of_it(project: Path) -> None:
    write(project, {"train.py": "print(2)\n", "new.py": "", "made.log": "", "repro.toml": "changed", "mlflow.db": ""})
    (project / "src/a.py").unlink()
    (project / "run.sh").chmod(0o644)
    named = ("train.py", "new.py", "made.log", "src", "run.sh")
    state = snapshot(project, named, ("mlflow.db",)).state
    assert state.differs == (
        "made.log not in the commit, because git ignores it",
        "new.py untracked",
        "run.sh mode 644, committed is 755",
        "src/a.py deleted",
        "train.py modified",
    )
    assert state.aside == ("repro.toml modified",)


def test_a_spec_and_a_lock_that_git_does_not_track_are_named(project: Path) -> None:
    git(project, "rm", "-q", "--cached", "repro.toml", "repro.lock")
    git(project, "commit", "-q", "-m", "Without repro.toml")
    write(project, {"notes.txt": ""})
    state = snapshot(project, ("train.py",)).state
    assert (state.dirty, state.aside) == (False, ("repro.lock untracked", "repro.toml untracked"))


def test_a_mode_that_git_ignores_changes_neither_state_nor_digest(project: Path) -> None:
    before = snapshot(project, None)
    git(project, "config", "core.fileMode", "false")
    for name, mode in (("train.py", 0o755), ("run.sh", 0o644)):
        (project / name).chmod(mode)
    assert status(project) == ""
    after = snapshot(project, None)
    assert (after.state, after.tree) == (before.state, before.tree)
    place(after, project, project.parent / "work")
    assert (project.parent / "work/run.sh").stat().st_mode & 0o777 == 0o755
    write(project, {"new.sh": ""})
    (project / "new.sh").chmod(0o755)
    assert snapshot(project, None).tree["new.sh"].startswith("100644:")  # as `git add` would have it


def test_a_link_that_git_keeps_as_a_file_is_the_link(project: Path, tmp_path: Path) -> None:
    (project / "same.py").symlink_to("train.py")
    git(project, "add", "-A")
    git(project, "commit", "-q", "-m", "link")
    before = snapshot(project, None)
    git(project, "config", "core.symlinks", "false")
    (project / "same.py").unlink()
    (project / "same.py").write_text("train.py")
    assert status(project) == ""
    after = snapshot(project, None)
    assert (after.state, after.tree) == (before.state, before.tree)
    (project / "same.py").write_text("/etc/passwd")
    with pytest.raises(UsageError, match='"same.py" is a link to "/etc/passwd", which is outside the project'):
        snapshot(project, None)


def test_a_sparse_checkout_is_clean(project: Path) -> None:
    git(project, "sparse-checkout", "set", "--no-cone", "/train.py")
    assert status(project) == ""
    state = snapshot(project, None).state
    assert (state.files, state.dirty, state.differs) == (("train.py",), False, ())


def test_a_submodule_that_is_not_checked_out_is_clean(project: Path, tmp_path: Path) -> None:
    library = tmp_path / "library"
    write(library, {"lib.py": ""})
    git(library, "init", "-q")
    git(library, "add", "-A")
    git(library, "commit", "-q", "-m", "library")
    git(project, "submodule", "--quiet", "add", str(library), "lib")
    git(project, "commit", "-q", "-m", "submodule")
    git(tmp_path, "clone", "-q", str(project), "ci")
    assert status(tmp_path / "ci") == ""
    state = snapshot(tmp_path / "ci", None).state
    assert (state.files, state.dirty) == ((*TRACKED[:1], ".gitmodules", *TRACKED[1:]), False)
    assert (absent_submodules(tmp_path / "ci"), absent_submodules(project)) == (["lib"], [])
    assert (absent_submodules(tmp_path / "ci" / "src"), absent_submodules(tmp_path)) == ([], [])
    write(project / "lib", {"lib.py": "changed"})
    assert snapshot(project, None).state.differs == ("lib/lib.py modified",)
    git(project / "lib", "commit", "-q", "-am", "moved on")
    inner = [git(project / "lib", "rev-parse", "--short=7", name) for name in ("HEAD", "HEAD~1")]
    assert snapshot(project, None).state.differs == (f"lib at {inner[0]}, committed is {inner[1]}",)


def test_settings_that_add_lines_to_git_status_are_no_files(project: Path) -> None:
    write(project, {"train.py": "print(2)\n"})
    git(project, "stash", "-q")
    for name in ("showStash", "branch"):
        git(project, "config", f"status.{name}", "true")
    assert snapshot(project, None).state.differs == ()


def test_what_a_partial_clone_has_not_fetched_is_not_called_uncommitted(project: Path, tmp_path: Path) -> None:
    write(project, {"train.py": "print(2)\n"})
    git(project, "commit", "-q", "-am", "second")
    git(project, "config", "uploadpack.allowFilter", "true")
    git(tmp_path, "clone", "-q", "--filter=blob:none", f"file://{project}", "partial")
    partial = tmp_path / "partial"
    assert snapshot(partial, None).state.differs == ()
    assert blob_at(partial, "HEAD", "./train.py") == b"print(2)\n"
    assert blob_at(partial, "HEAD~1", "./nowhere.py") is None
    with pytest.raises(MachineError) as caught:
        blob_at(partial, "HEAD~1", "./train.py")
    assert (caught.value.message, caught.value.hint) == (
        "git lacks train.py of HEAD~1 here: the clone is a partial one, or damaged",
        f"`git -C {partial} show HEAD~1:./train.py` fetches it where it can be",
    )


def test_a_clean_filter_runs_where_the_caller_allows_it(project: Path) -> None:
    git(project, "config", "filter.strip.clean", "sed s/[0-9]*$//")
    git(project, "config", "filter.strip.required", "true")
    write(project, {".gitattributes": "*.nb filter=strip\n", "a.nb": "count 12\n"})
    git(project, "add", "-A")
    git(project, "commit", "-q", "-m", "filtered")
    os.utime(project / "a.nb", (1, 1))
    assert status(project) == ""
    assert not snapshot(project, None, filters=True).state.dirty
    git(project, "config", "filter.strip.clean", "sh -c 'touch .git/ran; cat'")
    os.utime(project / "a.nb", (2, 2))
    assert snapshot(project, None).state.differs == ("a.nb modified",)
    assert not (project / ".git/ran").exists()


@pytest.mark.parametrize("told", ["--assume-unchanged", "--skip-worktree"])
def test_what_git_was_told_not_to_look_at_is_dirty_all_the_same(project: Path, told: str) -> None:
    git(project, "update-index", told, "train.py")
    write(project, {"train.py": "print(2)\n"})
    assert status(project) == ""
    assert snapshot(project, None).state.differs == (
        "train.py differs from the commit, though git status does not show it",
    )


def test_a_commit_is_what_its_id_says(project: Path) -> None:
    """`git replace` shows another commit under the same ID, and git alone would call the other one's files clean."""
    told = git(project, "rev-parse", "HEAD").strip()
    write(project, {"train.py": "print(2)\n"})
    git(project, "commit", "-q", "-a", "-m", "another")
    git(project, "replace", told, git(project, "rev-parse", "HEAD").strip())
    git(project, "reset", "-q", "--soft", told)
    assert status(project) == ""
    state = snapshot(project, None).state
    assert (state.commit, state.differs) == (told, ("train.py modified",))


@pytest.mark.parametrize("attribute", ["text eol=crlf", "working-tree-encoding=UTF-16LE", "ident"])
def test_attributes_that_change_a_file_on_disk_are_no_change(project: Path, attribute: str) -> None:
    write(project, {".gitattributes": f"*.txt {attribute}\n", "a.txt": "x"})
    (project / "a.txt").write_bytes("a $Id$\n".encode("utf-16-le" if "UTF-16" in attribute else "utf-8"))
    git(project, "add", "-A")
    git(project, "commit", "-q", "-m", "attributes")
    (project / "a.txt").unlink()
    git(project, "checkout", "a.txt")
    assert status(project) == ""
    assert snapshot(project, None).state.differs == ()


@pytest.mark.parametrize(
    ("code", "target", "message", "hint"),
    [
        (("l",), "lake/a", 'run.code names "l", a link to "lake/a", which is not part of the code', "data belongs in a lake, and is declared as a dataset; or replace the link with the file"),
        (("l",), "src", 'run.code names "l", a link to "src", which is not part of the code', 'name "src" in run.code too, or replace the link with the file'),
        (("l",), "gone", 'run.code names "l", a link to "gone", which is not there', "correct the link, or remove it"),
        (("sub",), "../src/a.py", 'run.code names "sub/l", a link to "src/a.py", which is not part of the code', 'name "src/a.py" in run.code too, or replace the link with the file'),
    ],
)  # fmt: skip
def test_a_link_to_what_is_no_code(project: Path, code: tuple[str, ...], target: str, message: str, hint: str) -> None:
    write(project, {"lake/a": "", "sub/b.py": ""})
    (project / ("l" if code == ("l",) else "sub/l")).symlink_to(target)
    with pytest.raises(UsageError) as error:
        snapshot(project, code, ("lake",))
    assert (error.value.message, error.value.hint, error.value.exit_code) == (message, hint, 2)
    if target.endswith("src") or target.endswith("a.py"):
        assert snapshot(project, (*code, "src"), ("lake",)).state.files


def test_nothing_that_a_repository_configures_is_executed(project: Path) -> None:
    trap = project / ".git" / "trap"
    trap.write_text(f"#!/bin/sh\ntouch {project}/.git/sprung\ncat\n")
    trap.chmod(0o755)
    for hook in ("post-index-change", "post-checkout", "reference-transaction", "fsmonitor-watchman"):
        shutil.copy(trap, project / ".git" / "hooks" / hook)
    for name in ("core.fsmonitor", "filter.f.clean", "filter.f.smudge", "filter.f.process", "diff.f.textconv"):
        git(project, "config", name, str(trap))
    write(project, {".gitattributes": "* filter=f diff=f\n", "train.py": "changed\n"})
    (project / ".git" / "sprung").unlink(missing_ok=True)
    assert snapshot(project, None).state.dirty
    assert not (project / ".git" / "sprung").exists()
    subprocess.run(["git", "status"], cwd=project, capture_output=True)
    assert (project / ".git" / "sprung").exists()  # the trap works


def test_a_filter_that_git_cannot_be_told_to_switch_off_is_refused(project: Path) -> None:
    git(project, "config", "filter.a=b.clean", f"touch {project}/.git/sprung; cat")
    write(project, {".gitattributes": "* filter=a=b\n", "train.py": "changed\n"})
    with pytest.raises(MachineError) as refused:
        snapshot(project, None)
    assert refused.value.message == (
        f"git's configuration of {project} has the filter filter.a=b, which cannot be switched off"
    )
    assert not (project / ".git" / "sprung").exists()
    subprocess.run(["git", "status"], cwd=project, capture_output=True)
    assert (project / ".git" / "sprung").exists()  # the trap works


def test_variables_of_a_hook_do_not_lead_elsewhere(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path))
    monkeypatch.setenv("GIT_INDEX_FILE", "/nowhere")
    assert files(snapshot(project, None)) == TRACKED


def without_git(root: Path) -> None:
    write(
        root,
        {
            **{"train.py": "", "src/a.py": "", ".python-version": "3.11", ".hidden/x": "", ".env": ""},
            **{"venv/pyvenv.cfg": "", "venv/lib/x.py": "", "__pycache__/a.pyc": "", "cache/CACHEDIR.TAG": ""},
            **{"node_modules/x.js": "", "spark-warehouse/x": ""},
        },
    )
    os.mkfifo(root / "pipe")


def test_settings_in_the_callers_variables_are_the_callers(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As containers do it: GIT_CONFIG_COUNT says what is a safe.directory, or what to ignore."""
    (project / "local.py").write_text("1")
    (project.parent / "ignore").write_text("local.py\n")
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "core.excludesFile")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", str(project.parent / "ignore"))
    assert "local.py" not in files(snapshot(project, None))


@pytest.mark.parametrize("lost", ["HEAD", "HEAD^{tree}", "HEAD:src"])
def test_a_commit_whose_objects_are_lost_is_named_as_the_reason(project: Path, lost: str) -> None:
    commit, name = git(project, "rev-parse", "HEAD"), git(project, "rev-parse", lost)
    (project / ".git/objects" / name[:2] / name[2:]).unlink()
    state = snapshot(project, None).state
    reason = f"commit {commit[:7]} cannot be read, for git lacks objects of it or they are damaged"
    assert (state.commit, state.dirty, state.differs) == (commit, True, (reason,))


def test_untracked_files_are_not_held_against_one_another(project: Path) -> None:
    """Five times as many take five times as many calls: each with each took a minute for 20,000 files."""
    write(project, {f"few/{number}.txt": "" for number in range(100)})
    few = calls_of(lambda: snapshot(project, None))
    write(project, {f"more/{number}.txt": "" for number in range(400)})
    many = calls_of(lambda: snapshot(project, None))
    assert len(snapshot(project, None).state.differs) == 500
    assert many < 6 * few


@pytest.mark.parametrize("broken", ["worktree", "head"])
def test_a_repository_that_is_not_whole_is_no_folder_without_git(project: Path, broken: str) -> None:
    """A work tree that was mounted without its repository would give all that it ignores as code."""
    if broken == "head":
        (project / ".git" / "HEAD").write_text("nothing\n")
    else:
        shutil.move(project / ".git", project.parent / "elsewhere")
        (project / ".git").write_text("gitdir: /nowhere/worktrees/a\n")
    with pytest.raises(MachineError) as caught:
        snapshot(project, None)
    assert str(caught.value).startswith(f"git does not read {project}: not a git repository")
    shutil.rmtree(project / ".git") if broken == "head" else (project / ".git").unlink()
    (project / ".git").mkdir()  # an empty one is none for git either
    assert snapshot(project, None).state.commit is None


def test_without_git_all_but_what_is_hidden_made_or_cached(tmp_path: Path) -> None:
    without_git(tmp_path)
    taken = snapshot(tmp_path, None)
    assert files(taken) == (".python-version", "src/a.py", "train.py")
    assert taken.rule == BY_WALK
    assert taken.state[3:] == (None, None, None, False, (), ())
    assert files(snapshot(tmp_path, ("src", ".hidden"))) == (".hidden/x", "src/a.py")


def test_a_machine_without_git_is_a_folder_without_git(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    taken = snapshot(project, None)
    assert taken.rule == BY_WALK
    assert files(taken) == TRACKED


def test_a_folder_that_an_outer_repository_ignores_is_on_its_own(project: Path) -> None:
    write(project, {"data/project/train.py": "", "data/project/x.log": ""})
    taken = snapshot(project / "data" / "project", None)
    assert (taken.rule, files(taken), taken.state.commit) == (BY_WALK, ("train.py", "x.log"), None)


def test_a_repository_that_git_refuses_is_no_folder_without_git(project: Path) -> None:
    (project / ".git" / "config").write_text("[broken\n")
    with pytest.raises(MachineError) as error:
        snapshot(project, None)
    assert error.value.message == f"git does not read {project}: bad config line 1 in file .git/config"
    assert error.value.hint == f"see what `git -C {project} status` says"


def test_a_file_with_a_key_is_refused_by_name_and_line(project: Path) -> None:
    write(project, {"src/helper.py": "import os\nKEY = 'the-real-secret-value'\n"})
    with pytest.raises(UsageError) as in_use:
        snapshot(project, None, scanner=Scanner({"LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY": "the-real-secret-value"}))
    assert in_use.value.message == "src/helper.py:2 carries the value of LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY"
    assert in_use.value.hint == (
        "remove it, and read it from a variable; or name what the command needs in run.code, without this file"
    )
    write(project, {"src/helper.py": "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG\n"})
    with pytest.raises(UsageError) as by_form:
        snapshot(project, None)
    assert by_form.value.message == (
        "src/helper.py:1 contains a secret: an access key, a token, a private key or a signed address"
    )


def test_links_that_stay_inside_are_kept_and_others_refused(project: Path, tmp_path: Path) -> None:
    (project / "src" / "link.py").symlink_to("../train.py")
    (project / "folder").symlink_to("src")
    (project / "loose").symlink_to("not/there")
    taken = snapshot(project, None)
    assert [file.path for file in taken.files if file.mode == "120000"] == ["folder", "loose", "src/link.py"]
    place(taken, project, tmp_path / "work")
    assert os.readlink(tmp_path / "work" / "src" / "link.py") == "../train.py"
    assert (tmp_path / "work" / "folder" / "a.py").read_text() == "A = 1\n"
    for target in ("/etc/passwd", "../project2", "folder/../../x", "src/../.."):
        (project / "bad").unlink(missing_ok=True)
        (project / "bad").symlink_to(target)
        with pytest.raises(UsageError) as error:
            snapshot(project, None)
        assert error.value.message == f'the code file "bad" is a link to "{target}", which is outside the project'


def test_a_name_that_another_machine_could_not_hold(project: Path) -> None:
    for name, message in (
        (b"b\xff.py", 'the name of the code file "b\\udcff.py" is not UTF-8'),
        (
            b"b\\c.py",
            'the name of the code file "b\\c.py" contains a backslash, which Windows takes for a separator of folders',
        ),
    ):
        path = project / os.fsdecode(name)
        path.touch()
        with pytest.raises(UsageError) as error:
            snapshot(project, None)
        assert error.value.message == message
        path.unlink()


def test_code_that_is_too_large_names_the_largest_files(project: Path) -> None:
    for name, size in (("model.bin", 90_000_000), ("data.csv", 20_000_000), ("b.csv", 2_000_000), ("c.csv", 1_000_000)):
        with (project / name).open("wb") as file:
            file.truncate(size)
    with pytest.raises(UsageError) as error:
        snapshot(project, None)
    assert error.value.message == (
        "the code is 113 MB, more than 100 MB: model.bin (90 MB), data.csv (20 MB), b.csv (2 MB)"
    )
    assert error.value.hint == (
        "name what the command needs in run.code, or have git ignore the rest; data belongs in a lake"
    )


def test_exactly_these_files_arrive_with_their_modes(project: Path, tmp_path: Path) -> None:
    write(project, {"ignored.log": "", ".env": "KEY=1"})
    work = tmp_path / "runs" / "1" / "work"
    taken = snapshot(project, None)
    place(taken, project, work)
    assert sorted(str(path.relative_to(work)) for path in work.rglob("*") if path.is_file()) == sorted(TRACKED)
    assert os.access(work / "run.sh", os.X_OK) and not os.access(work / "train.py", os.X_OK)
    assert snapshot(work, None).state.digest == taken.state.digest


def test_a_file_that_changed_since_is_not_run(project: Path, tmp_path: Path) -> None:
    taken = snapshot(project, None)
    write(project, {"src/a.py": "A = 2\n"})
    with pytest.raises(MachineError) as error:
        place(taken, project, tmp_path / "work")
    assert error.value.message == "src/a.py was changed while the run was being prepared"
    (project / "src/a.py").unlink()
    with pytest.raises(MachineError) as gone:
        place(taken, project, tmp_path / "work2")
    assert gone.value.message == f"{project}/src/a.py cannot be read: it is gone"


def test_a_link_is_inside_only_where_it_leads_there() -> None:
    links = {"d", "x/d"}
    inside = [("a", "b"), ("x/a", "../b"), ("x/a", "./../x/./b"), ("a", "d/y"), ("a", "x/../y"), ("a", ".")]
    outside = [("a", ".."), ("a", "/b"), ("x/a", "../../b"), ("a", "d/../y"), ("x/a", "d/y/../z"), ("a", "x/../../y")]
    assert [stays_inside(path, target, links.__contains__) for path, target in inside] == [True] * len(inside)
    assert [stays_inside(path, target, links.__contains__) for path, target in outside] == [False] * len(outside)
