"""Environments, built by the real uv from small packages; killed, edited and shared, as it happens."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from zipfile import ZipFile

import pytest
from index_server import index_server
from wheelhouse import PYTHON, environ, sdist, wheel

from reprolock.environment.python.installed.drift import Difference, drift, refuse_drift
from reprolock.environment.python.installed.env_build import remove
from reprolock.environment.python.installed.env_store import Environment, changes_of, check, ensure, find, in_use, prune
from reprolock.environment.python.installed.foreign_interpreter import (
    is_inside,
    launcher_of,
    refuse_foreign_python,
    start_up_option,
)
from reprolock.environment.python.installed.manifest import LISTING, MANIFEST
from reprolock.environment.python.interpreters.find_python import install_hint
from reprolock.environment.python.interpreters.interpreter import list_installed
from reprolock.environment.python.interpreters.script_runtime import SCRIPT_MODULES, write_runtime
from reprolock.environment.python.resolving.lock import resolve
from reprolock.errors import LockError, MachineError, PinError, ServiceError, UsageError
from reprolock.model.lock import EnvironmentPin, PackagePin
from reprolock.model.spec import EnvironmentSpec

ROOT = Path(__file__).parents[4]
BUILD = (
    "import json, os, sys; from pathlib import Path; from reprolock.environment.python.installed.env_store import ensure; "
    "from reprolock.model.lock import EnvironmentPin; "
    "print(ensure(EnvironmentPin.model_validate_json(sys.stdin.read()), Path(sys.argv[1])).folder)"
)


class Bench:
    """A folder of packages, a cache folder, and what a test does with them."""

    def __init__(self, tmp_path: Path) -> None:
        self.root, self.house, self.store = tmp_path, tmp_path / "house", tmp_path / "cache"
        self.house.mkdir()
        # uv links files out of its cache; what is edited here must not stand in other tests' environments.
        self.environ = environ(tmp_path, self.house, UV_CACHE_DIR=str(tmp_path / "uv"))

    def pin(self, *packages: str) -> EnvironmentPin:
        return resolve(EnvironmentSpec(packages=packages), self.root, python=PYTHON, environ=self.environ)

    def ensure(self, pin: EnvironmentPin, **options) -> Environment:
        return ensure(pin, self.store, environ=self.environ, **options)

    def forget(self) -> None:
        """Lose uv's cache."""
        shutil.rmtree(self.environ["UV_CACHE_DIR"], ignore_errors=True)

    def started(self, pin: EnvironmentPin) -> subprocess.Popen[str]:
        """Another process that builds the environment, with a group of its own."""
        child = subprocess.Popen(
            [sys.executable, "-c", BUILD, str(self.store)],
            cwd=ROOT,
            env=self.environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert child.stdin
        child.stdin.write(pin.model_dump_json())
        child.stdin.close()
        child.stdin = None
        return child


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def run(environment: Environment, code: str, **variables: str) -> str:
    command = [environment.python, "-c", code]
    done = subprocess.run(command, cwd=environment.folder, capture_output=True, text=True, check=True, env=variables)
    return done.stdout.strip()


def wait_for(what) -> None:
    deadline = time.monotonic() + 60
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# --- building ---------------------------------------------------------------------------------------


def test_it_is_built_once_and_shared_by_every_project_with_the_same_packages(bench: Bench) -> None:
    wheel(bench.house, "tool", text="answer = 42\n", needs=['winlib; sys_platform == "win32"'])
    wheel(bench.house, "winlib")
    pin = bench.pin("tool")
    first = bench.ensure(pin)
    assert first.folder.parent == bench.store / "envs"
    assert run(first, "import tool; print(tool.answer)") == "42"
    assert [(item.name, item.version, item.built) for item in first.manifest.distribution] == [("tool", "1.0", False)]
    assert first.manifest.python == run(first, "import platform; print(platform.python_version())")
    bench.forget()
    shutil.rmtree(bench.house)
    other = EnvironmentPin.sealed(requirements=("tool>=0",), python=PYTHON, java="17", package=pin.package)
    assert bench.ensure(other, offline=True) == first


@pytest.mark.parametrize("told", ["variable", "settings"])
def test_no_file_is_a_link_into_uvs_cache(bench: Bench, tmp_path: Path, told: str) -> None:
    """What is edited or cleaned away there would be so here, and a replay, which compares the link alone, would not see it."""
    wheel(bench.house, "tool")
    if told == "variable":
        bench.environ["UV_LINK_MODE"] = "symlink"
    else:
        settings = Path(bench.environ["XDG_CONFIG_HOME"]) / "uv" / "uv.toml"
        settings.write_text(f'{settings.read_text()}link-mode = "symlink"\n')
    built = bench.ensure(bench.pin("tool"))
    assert not (built.packages / "tool.py").is_symlink()


def test_other_packages_are_another_environment(bench: Bench) -> None:
    wheel(bench.house, "tool", "1.0"), wheel(bench.house, "tool", "2.0")
    assert bench.ensure(bench.pin("tool==1.0")).folder != bench.ensure(bench.pin("tool==2.0")).folder


def test_no_packages_give_a_bare_python(bench: Bench) -> None:
    environment = bench.ensure(bench.pin())
    assert environment.manifest.distribution == ()
    assert run(environment, "import sys; print(sys.prefix)") == str(environment.folder)
    check(environment)


def test_programs_work_where_the_environment_stands(bench: Bench) -> None:
    pin = resolve(
        EnvironmentSpec(packages=("pyflakes==3.4.0",)), bench.root, python=PYTHON, environ=environ(bench.root)
    )
    environment = ensure(pin, bench.store, environ=environ(bench.root))
    done = subprocess.run([environment.programs / "pyflakes", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("3.4.0 ")


def test_a_wheel_is_built_with_what_is_pinned_and_known_by_its_own_digest(bench: Bench, tmp_path: Path) -> None:
    wheel(bench.house, "maker", text="who = 'one'\n")
    sdist(bench.house, "raw", requires=["maker"], body="import maker; assert maker.who == 'one'")
    pin = bench.pin("raw")
    wheel(bench.house, "maker", "2.0", text="who = 'two'\n")
    heard: list[str] = []
    first = bench.ensure(pin, progress=heard.append)
    assert set(heard) == {"Building raw==1.0"}
    assert run(first, "import raw; print(raw.made_with)") == "a build"
    assert [(item.name, item.built) for item in first.manifest.distribution] == [("raw", True)]
    bench.forget()
    again = ensure(pin, tmp_path / "elsewhere", environ=bench.environ)
    assert again.folder != first.folder and again.manifest == first.manifest


def test_two_runs_that_build_at_once_share_one_environment(bench: Bench) -> None:
    wheel(bench.house, "maker")
    pause = bench.root / "pause"
    sdist(bench.house, "raw", requires=["maker"], pause=pause)
    pin = bench.pin("raw")
    pause.touch()
    one = bench.started(pin)
    wait_for(lambda: list((bench.store / "envs").glob(".build-*/bin/python")))
    other = bench.started(pin)
    time.sleep(1.0)
    pause.unlink()
    answers = [child.communicate(timeout=60) for child in (one, other)]
    assert [child.returncode for child in (one, other)] == [0, 0], answers
    assert answers[0][0] == answers[1][0] == f"{bench.ensure(pin).folder}\n"
    assert sorted(path.name for path in (bench.store / "envs").iterdir()) == [".reprolock", bench.ensure(pin).digest]


@pytest.mark.parametrize("whole_group", [True, False], ids=["with uv", "without uv"])
def test_a_builder_that_is_killed_leaves_nothing_that_counts(bench: Bench, whole_group: bool) -> None:
    wheel(bench.house, "maker")
    pause = bench.root / "pause"
    sdist(bench.house, "raw", requires=["maker"], pause=pause)
    pin = bench.pin("raw")
    pause.touch()
    child = bench.started(pin)
    wait_for(lambda: list((bench.store / "envs").glob(".build-*/bin/python")))
    (os.killpg if whole_group else os.kill)(child.pid, signal.SIGKILL)
    child.communicate()
    assert list((bench.store / "envs").glob("[0-9a-f]*")) == []
    pause.unlink()
    environment = bench.ensure(pin)
    check(environment)
    assert run(environment, "import raw; print(raw.made_with)") == "a build"
    if not whole_group:
        wait_for(lambda: not list((bench.store / "envs").glob(".build-*")))
    assert sorted(path.name for path in (bench.store / "envs").iterdir()) == [".reprolock", environment.digest]


def test_an_environment_without_its_manifest_is_built_again(bench: Bench) -> None:
    wheel(bench.house, "tool")
    pin = bench.pin("tool")
    first = bench.ensure(pin)
    (first.folder / MANIFEST).unlink()
    (first.packages / "tool.py").unlink()
    again = bench.ensure(pin)
    check(again)
    assert (again.packages / "tool.py").exists()


def test_another_feature_version_is_found_on_this_machine(bench: Bench) -> None:
    other = next(
        (
            f"3.{minor}"
            for minor in (13, 12, 14)
            if minor != sys.version_info.minor and (Path.home() / ".pyenv/versions").glob(f"3.{minor}.*")
        ),
        None,
    )
    if other is None:
        pytest.skip("no second Python on this machine")
    wheel(bench.house, "tool", needs=["elder; python_version < '3.0'"]), wheel(bench.house, "elder")
    pin = resolve(EnvironmentSpec(packages=("tool",)), bench.root, python=other, environ=bench.environ)
    environment = bench.ensure(pin)
    assert run(environment, "import tool, sys; print('%d.%d' % sys.version_info[:2])") == other
    start = time.monotonic()
    assert bench.ensure(pin) == environment
    assert time.monotonic() - start < 0.3


# --- what goes wrong ----------------------------------------------------------------------------------


def test_a_file_that_changed_on_the_index(bench: Bench) -> None:
    wheel(bench.house, "tool", text="x = 1\n")
    pin = bench.pin("tool")
    bench.forget()
    wheel(bench.house, "tool", text="x = 2\n")
    with pytest.raises(PinError) as caught:
        bench.ensure(pin)
    assert str(caught.value) == "tool 1.0 has changed: the index gives a file whose SHA-256 repro.lock does not pin"
    assert caught.value.hints == "find out why; if the new file is good, run `reprolock lock --upgrade-package tool`"
    assert caught.value.exit_code == 4
    assert [path.name for path in (bench.store / "envs").iterdir()] == [".reprolock"]


def test_a_version_that_is_gone_from_the_index(bench: Bench) -> None:
    file = wheel(bench.house, "tool")
    pin = bench.pin("tool")
    bench.forget()
    file.unlink()
    wheel(bench.house, "tool", "2.0")
    with pytest.raises(PinError) as caught:
        bench.ensure(pin)
    assert str(caught.value) == "tool 1.0 is gone: the index that uv asks does not have it"
    assert (
        caught.value.hints
        == "name the index that has it in UV_INDEX; `reprolock lock --upgrade-package tool` pins another version"
    )


def test_a_yanked_version_that_is_pinned_is_still_installed(bench: Bench) -> None:
    variables = environ(bench.root)
    pin = resolve(EnvironmentSpec(packages=("click==8.2.2",)), bench.root, python=PYTHON, environ=variables)
    assert [
        (item.name, item.version) for item in ensure(pin, bench.store, environ=variables).manifest.distribution
    ] == [("click", "8.2.2")]


def test_offline_and_not_cached(bench: Bench) -> None:
    variables = environ(bench.root)
    pin = resolve(EnvironmentSpec(packages=("six==1.17.0",)), bench.root, python=PYTHON, environ=variables)
    with pytest.raises(ServiceError) as caught:
        ensure(pin, bench.store, environ=variables | {"UV_CACHE_DIR": bench.environ["UV_CACHE_DIR"]}, offline=True)
    assert str(caught.value) == "six is not in uv's cache, and --offline does not ask the package index"
    assert caught.value.exit_code == 5


def test_an_index_that_is_down(bench: Bench) -> None:
    variables = environ(bench.root)
    pin = resolve(EnvironmentSpec(packages=("six==1.17.0",)), bench.root, python=PYTHON, environ=variables)
    down = {"UV_CACHE_DIR": bench.environ["UV_CACHE_DIR"], "UV_DEFAULT_INDEX": "http://me:sekret@127.0.0.1:1/simple"}
    with pytest.raises(ServiceError) as caught:
        ensure(pin, bench.store, environ=variables | down)
    assert str(caught.value) == "no answer from the package index at 127.0.0.1:1: connection refused"


def test_a_package_that_has_no_wheel_for_this_machine(bench: Bench) -> None:
    wheel(bench.house, "native", tag="py3-none-win_arm64")
    pinned = bench.pin('native; sys_platform == "win32"').package[0]
    pin = EnvironmentPin.sealed(
        requirements=("native",), python=PYTHON, package=(pinned.model_copy(update={"marker": None}),)
    )
    with pytest.raises(MachineError) as caught:
        bench.ensure(pin)
    assert str(caught.value) == "native 1.0 has no wheel for this machine"
    assert caught.value.hint == "run on a platform that native has wheels for"


def test_a_lock_of_another_platform_that_pins_no_build_requirements(bench: Bench) -> None:
    wheel(bench.house, "maker")
    sdist(bench.house, "raw", requires=["maker"])
    found = bench.pin("raw")
    pin = EnvironmentPin.sealed(requirements=("raw",), python=PYTHON, package=found.package)
    with pytest.raises(LockError) as caught:
        bench.ensure(pin)
    assert (
        str(caught.value) == "raw 1.0 has no wheel for this machine, and repro.lock does not pin maker it is built with"
    )
    assert caught.value.hints == (
        "use a machine that raw has wheels for; `reprolock lock --upgrade-package raw` on a machine like this one pins that, too"
    )
    assert caught.value.exit_code == 3


def test_a_build_that_fails(bench: Bench) -> None:
    wheel(bench.house, "maker")
    sdist(bench.house, "raw", requires=["maker"], body="raise SystemExit('no compiler here')")
    with pytest.raises(MachineError) as caught:
        bench.ensure(bench.pin("raw"))
    assert caught.value.message == "raw 1.0 has no wheel for this machine and cannot be built here"
    assert "no compiler here" in caught.value.problems
    assert caught.value.hint == "install what its build asks for, or ask for a version that has wheels"


def test_a_python_that_is_not_to_be_had(bench: Bench) -> None:
    pin = EnvironmentPin.sealed(requirements=(), python="3.99")
    with pytest.raises(MachineError) as caught:
        bench.ensure(pin)
    assert str(caught.value) == "no Python 3.99 on this machine, which repro.lock pins"
    assert caught.value.hint == install_hint("3.99")
    assert caught.value.exit_code == 8


@pytest.mark.parametrize(
    ("platform", "hint"),
    [
        ("linux", "install Python 3.12: `apt install python3.12` (Debian, Ubuntu), `uv python install 3.12` or pyenv"),
        ("darwin", "install Python 3.12: `brew install python@3.12`, `uv python install 3.12` or pyenv"),
        ("win32", "install Python 3.12: `winget install Python.Python.3.12`, `uv python install 3.12` or pyenv"),
    ],
)
def test_how_to_get_a_python(platform: str, hint: str) -> None:
    assert install_hint("3.12", platform) == hint


def test_a_cache_folder_that_cannot_be_made(bench: Bench) -> None:
    bench.store.write_text("a file")
    with pytest.raises(MachineError) as caught:
        bench.ensure(bench.pin())
    assert str(caught.value) == f"{bench.store}/envs cannot be written: another file or folder has its name"


def test_a_file_that_was_edited_in_uvs_cache_is_fetched_again(bench: Bench) -> None:
    wheel(bench.house, "tool")
    pin = bench.pin("tool")
    environment = bench.ensure(pin)
    if (environment.packages / "tool.py").stat().st_nlink == 1:
        pytest.skip("this file system does not link files between uv's cache and environments")
    with open(environment.packages / "tool.py", "a") as file:
        file.write("x = 2\n")
    remove(environment.folder)
    remarks: list[str] = []
    again = bench.ensure(pin, remark=remarks.append)
    assert (again.packages / "tool.py").read_text() == "x = 1\n"
    assert remarks == [
        "uv's cache holds an edited file, tool.py; the pinned wheel was fetched again, and `uv cache clean tool` mends the cache"
    ]
    check(again)


@pytest.mark.parametrize("record", ["sha512", "sha384", "padded", "wrong"])
def test_a_wheel_is_taken_whatever_its_record_says(bench: Bench, record: str) -> None:
    wheel(bench.house, "tool", record=record)
    remarks: list[str] = []
    environment = bench.ensure(bench.pin("tool"), remark=remarks.append)
    assert (run(environment, "import tool; print(tool.x)"), remarks) == ("1", [])
    check(environment)
    assert changes_of(environment, hashing=True) == ()


def _starts(mark: Path, name: str) -> dict[str, str]:
    """Files by which a package has Python execute something whenever it starts."""
    line = f"open({str(mark)!r}, 'a').write('{name} ')\n"
    return {f"{name}.pth": f"import os; {line}", "sitecustomize.py": line}


def test_nothing_of_a_package_is_executed_while_it_is_installed(bench: Bench, tmp_path: Path) -> None:
    """uv starts the Python that it installs for: where files are in doubt, or brought by two, it did so with the packages there."""
    mark = tmp_path / "executed"
    wheel(bench.house, "one", more=_starts(mark, "one"), record="wrong")
    wheel(bench.house, "two", more=_starts(mark, "two"))
    check(bench.ensure(bench.pin("one", "two")))
    assert not mark.exists()


@pytest.mark.skipif(os.name != "posix", reason="devices have names on POSIX")
def test_a_record_that_names_a_device_is_read_to_its_end(bench: Bench) -> None:
    wheel(bench.house, "tool", more={"tool-1.0.dist-info/other.txt": "x"})
    path = bench.house / "tool-1.0-py3-none-any.whl"
    with ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    files["tool-1.0.dist-info/RECORD"] += (
        b"/dev/zero,sha256=AAAA,1\n../../../../../../../../../../dev/zero,sha256=AAAA,1\n"
    )
    with ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    check(bench.ensure(bench.pin("tool")))


def test_a_wheel_with_a_wrong_record_is_not_believed_while_it_cannot_be_fetched(bench: Bench) -> None:
    with index_server(bench.house) as index:
        variables = environ(bench.root, UV_DEFAULT_INDEX=index.url, UV_CACHE_DIR=str(bench.root / "uv"))
        wheel(bench.house, "tool", record="wrong")
        pin = resolve(EnvironmentSpec(packages=("tool",)), bench.root, python=PYTHON, environ=variables)
        remove(ensure(pin, bench.store, environ=variables).folder)
        with pytest.raises(MachineError) as caught:
            ensure(pin, bench.store, environ=variables, offline=True)
    assert caught.value.message.startswith(
        "tool-1.0.dist-info/METADATA is not what tool lists, and its wheel cannot be fetched to see which is right: "
    )
    assert caught.value.hint == "run the same command once without --offline, while the package index can be reached"


def test_of_packages_that_bring_one_file_the_last_by_name_wins_everywhere(bench: Bench) -> None:
    for name in ("view", "view_headless", "view_other"):
        wheel(bench.house, name, more={"seen/__init__.py": f"name = '{name}'\n", "seen/same.py": ""})
    pin = bench.pin("view", "view-headless", "view-other")
    for store in ("one", "two", "three"):
        remarks: list[str] = []
        environment = ensure(pin, bench.root / store, environ=bench.environ, remark=remarks.append)
        assert run(environment, "import seen; print(seen.name)") == "view_other"
        assert remarks == [
            "view, view-headless and view-other all bring seen/__init__.py; the file of view-other is installed"
        ]
        check(environment)


def test_a_package_that_is_installed_again_for_one_file_takes_no_other_from_a_later_one(bench: Bench) -> None:
    """view-b comes last for one file and not for the other; uv installs in no order that it promises."""
    wheel(bench.house, "view_a", more={"seen/two.py": "name = 'a'\n", "view_a-1.0.data/scripts/view": "#!/bin/sh\n"})
    wheel(bench.house, "view_b", more={"seen/one.py": "name = 'b'\n", "seen/two.py": "name = 'b'\n"})
    more = {"seen/one.py": "name = 'c'\n", "view_c-1.0.data/scripts/view": "#!/bin/sh\necho c\n"}
    wheel(bench.house, "view_c", more=more)
    pin = bench.pin("view-a", "view-b", "view-c")
    for store in range(6):
        remarks: list[str] = []
        environment = ensure(pin, bench.root / str(store), environ=bench.environ, remark=remarks.append)
        assert run(environment, "import seen.one, seen.two; print(seen.one.name, seen.two.name)") == "c b"
        assert subprocess.run([environment.programs / "view"], capture_output=True, check=True).stdout == b"c\n"
        assert remarks == [
            "view-a and view-c both bring bin/view; the file of view-c is installed",
            "view-b and view-c both bring seen/one.py; the file of view-c is installed",
            "view-a and view-b both bring seen/two.py; the file of view-b is installed",
        ]
        check(environment)


# --- what was changed since ---------------------------------------------------------------------------


def refused(environment: Environment) -> str:
    with pytest.raises(PinError) as caught:
        check(environment)
    assert caught.value.exit_code == 4
    assert caught.value.hint == "the next run builds it again; `reprolock env --prune` removes it"
    return caught.value.message.removeprefix(f"the environment {environment.digest} is not as it was built: ")


def pip(bench: Bench, environment: Environment, *arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "uv", "pip", *arguments, "--quiet", "--python", environment.python],
        env=bench.environ,
        check=True,
    )


def test_an_environment_that_was_used_is_as_it_was_built(bench: Bench) -> None:
    wheel(bench.house, "tool")
    environment = bench.ensure(bench.pin("tool"))
    run(environment, "import tool, json, email")
    assert (environment.packages / "__pycache__").exists()
    check(environment)


def test_what_was_installed_removed_or_replaced_is_named(bench: Bench) -> None:
    wheel(bench.house, "tool"), wheel(bench.house, "other"), wheel(bench.house, "tool", "2.0")
    environment = bench.ensure(bench.pin("tool==1.0"))
    pip(bench, environment, "install", "other")
    assert refused(environment) == "other 1.0 was installed"
    pip(bench, environment, "uninstall", "tool")
    assert refused(environment) == "other 1.0 was installed, and 1 more"
    pip(bench, environment, "install", "tool==2.0")
    pip(bench, environment, "uninstall", "other")
    assert refused(environment) == "tool 1.0 became 2.0"
    pip(bench, environment, "install", "tool==1.0")
    check(environment)
    wheel(bench.house, "tool", "1.0", text="other = 'bytes'\n")
    pip(bench, environment, "install", "tool==1.0", "--reinstall")
    assert refused(environment) == "tool 1.0 was replaced by other files"


def test_a_file_that_was_edited_added_or_removed_is_named(bench: Bench) -> None:
    wheel(bench.house, "tool")
    environment = opened(bench.ensure(bench.pin("tool")))
    module = environment.packages / "tool.py"
    where = module.relative_to(environment.folder)
    before = module.read_bytes()
    os.utime(module)
    check(environment)
    module.write_bytes(b"x = 2\n")
    assert refused(environment) == f"{where} was edited (package tool)"
    module.write_bytes(before)
    check(environment)
    module.unlink()
    assert refused(environment) == f"{where} was removed (package tool)"
    module.write_bytes(before)
    (environment.packages / "evil.pth").write_text("import os\n")
    assert refused(environment) == f"{where.parent}/evil.pth was added"
    (environment.packages / "evil.pth").unlink()
    (environment.folder / "pyvenv.cfg").write_text("include-system-site-packages = true\n")
    assert refused(environment) == "pyvenv.cfg was edited"


def test_no_command_can_write_into_an_environment_save_bytecode(bench: Bench) -> None:
    wheel(bench.house, "tool", more={"inner/__init__.py": "", "inner/data/table.csv": "1"})
    environment = bench.ensure(bench.pin("tool"))
    inside = [path for path in environment.folder.rglob("*") if path.is_dir() and not path.is_symlink()]
    writable = {path for path in inside if path.stat().st_mode & 0o222}
    assert len(inside) > len(writable) > 1
    assert {path.name for path in writable} == {"__pycache__"}
    assert environment.packages / "inner" / "__pycache__" in writable


def opened(environment: Environment) -> Environment:
    """The environment, writable as it is for root."""
    for folder in environment.folder.rglob("*"):
        if folder.is_dir() and not folder.is_symlink():
            folder.chmod(0o755)
    return environment


def test_what_was_changed_is_built_again_and_named(bench: Bench) -> None:
    wheel(bench.house, "zz_writer", more={"zzw/__init__.py": "", "zzw/inner/__init__.py": ""})
    pin = bench.pin("zz-writer")
    environment = opened(bench.ensure(pin))
    where = environment.packages.relative_to(environment.folder)
    (environment.packages / "zzw" / "cache.bin").write_text("1")
    (environment.packages / "zzw" / "inner" / "cache.bin").write_text("1")
    remarks: list[str] = []
    again = bench.ensure(pin, remark=remarks.append)
    assert again == environment and not (again.packages / "zzw" / "cache.bin").exists()
    assert remarks == [
        f"the environment {environment.digest} is not as it was built: {where}/zzw/cache.bin was added "
        "(package zz-writer), and 1 more; it is built again"
    ]


def test_a_changed_environment_is_not_taken_from_under_a_run(bench: Bench) -> None:
    wheel(bench.house, "tool")
    pin = bench.pin("tool")
    environment = opened(bench.ensure(pin))
    module = environment.packages / "tool.py"
    module.unlink()
    with in_use(environment):
        beside = bench.ensure(pin)
        assert beside.folder == environment.folder.with_name(f"{environment.digest}-2")
        assert beside.digest == environment.digest and bench.ensure(pin) == beside == find(
            pin, bench.store, environ=bench.environ
        )
        assert prune(bench.store).folders == ()
        assert not module.exists()
    assert bench.ensure(pin) == environment and module.exists()


def test_a_listing_that_is_gone_is_a_change(bench: Bench) -> None:
    environment = bench.ensure(bench.pin())
    (environment.folder / LISTING).unlink()
    assert refused(environment) == f"{LISTING} is gone"


# --- python from elsewhere, pruning, what scripts import ------------------------------------------------


INSTEAD = "which is the locked one; environment.isolated = false runs in the current interpreter"


def test_python_from_elsewhere_is_refused(bench: Bench, tmp_path: Path) -> None:
    environment = bench.ensure(bench.pin())
    path = os.pathsep.join((str(environment.programs), "/usr/bin", "/bin"))
    assert is_inside(environment.python, environment)
    refuse_foreign_python([environment.python, "train.py"], environment, path, tmp_path)
    refuse_foreign_python(["/bin/sh"], environment, path, tmp_path)
    (tmp_path / "trainer").symlink_to(sys.executable)
    for name in ("python", "python3", "python3.11", "pypy3", "trainer"):
        assert not is_inside(tmp_path / name, environment)
        with pytest.raises(UsageError) as caught:
            refuse_foreign_python([tmp_path / name], environment, path, tmp_path)
        assert (
            str(caught.value) == f"run.command starts {tmp_path / name}, which is not the locked environment's Python"
        )
        assert caught.value.hint == f'write "python", {INSTEAD}'


@pytest.mark.parametrize(
    ("command", "named"),
    [
        (("uv", "run", "--no-project", "train.py"), "uv run"),
        (("/opt/bin/uv", "--quiet", "run", "train.py"), "uv run"),
        (("uvx", "ruff"), "uvx"),
        (("poetry", "run", "python", "train.py"), "poetry run"),
        (("conda", "run", "-n", "ml", "python", "train.py"), "conda run"),
    ],
)
def test_a_launcher_that_takes_another_environment_is_refused(
    bench: Bench, tmp_path: Path, command: tuple[str, ...], named: str
) -> None:
    environment = bench.ensure(bench.pin())
    with pytest.raises(UsageError) as caught:
        refuse_foreign_python(command, environment, str(environment.programs), tmp_path)
    assert str(caught.value) == (f"run.command starts `{named}`, which uses its own environment and not the locked one")
    assert launcher_of(("uv", "--version")) is launcher_of(("python", "run")) is launcher_of(("poetry",)) is None


@pytest.mark.parametrize(
    ("command", "option"),
    [
        (("bash", "-lc", "python train.py"), "-lc"),
        (("/bin/sh", "-e", "-l", "run.sh"), "-l"),
        (("zsh", "-ic", "conda activate ml; python train.py"), "-ic"),
        (("bash", "--login", "run.sh"), "--login"),
        (("bash", "-c", "ls -l"), None),
        (("bash", "-ec", "-l"), None),
        (("sh", "run.sh", "-l"), None),
        (("ls", "-l"), None),
        (("bash", "--noprofile", "run.sh"), None),
    ],
)
def test_a_shell_that_sets_path_anew_is_refused(
    bench: Bench, tmp_path: Path, command: tuple[str, ...], option: str | None
) -> None:
    """Debian's /etc/profile does, and the system's Python ran."""
    environment = bench.ensure(bench.pin())
    assert start_up_option(command) == option
    if option is None:
        refuse_foreign_python(command, environment, str(environment.programs), tmp_path)
        return
    with pytest.raises(UsageError) as caught:
        refuse_foreign_python(command, environment, str(environment.programs), tmp_path)
    assert (caught.value.message, caught.value.hint) == (
        f"run.command starts {Path(command[0]).name} with {option}: its user's start-up files set PATH, and so the Python that runs",
        'leave the option out, as in ["bash", "-c", "…"]; what the files set belongs in run.env',
    )


def test_python_from_elsewhere_in_a_first_line_is_refused(bench: Bench, tmp_path: Path) -> None:
    environment = bench.ensure(bench.pin())
    (tmp_path / "bin").mkdir()
    foreign = tmp_path / "bin" / "python3.99"
    foreign.symlink_to(sys.executable)
    path = os.pathsep.join((str(environment.programs), str(foreign.parent), "/usr/bin", "/bin"))
    (tmp_path / "code").mkdir()
    script = tmp_path / "code" / "train.py"
    (tmp_path / "code" / "inner").write_text(f"#!{foreign}\n")
    (tmp_path / "code" / "python").symlink_to(sys.executable)
    for line in (
        f"#!{foreign}", f"#! {foreign} -u", "#!/usr/bin/env python3.99", "#!/usr/bin/env -S python3.99 -u",
        f"#!/usr/bin/env -S PATH={foreign.parent} python3.99", f"#!/usr/bin/env -S -u HOME {foreign} -X dev", "#!inner", "#!python",
    ):  # fmt: skip
        script.write_text(f"{line}\nprint(1)\n")
        named = {"#!python": tmp_path / "code" / "python"}.get(line, foreign)
        with pytest.raises(UsageError) as caught:
            refuse_foreign_python([script], environment, path, script.parent)
        assert str(caught.value) == (
            f"run.command starts train.py, whose first line names {named}, which is not the locked environment's Python"
        ), line
        assert caught.value.hint == f'write "#!/usr/bin/env python", {INSTEAD}'
    with pytest.raises(UsageError) as caught:
        refuse_foreign_python(["/usr/bin/env", "A=1", foreign, script], environment, path, script.parent)
    assert str(caught.value) == f"run.command starts {foreign}, which is not the locked environment's Python"
    for line in (
        "#!/usr/bin/env python", "#!/usr/bin/env -S python3 -u", f"#!{environment.python}", "#!/bin/sh", "#!/usr/bin/env nothing-like-it",
        "#!/usr/bin/env", "#!", "print(1)", "#!/usr/bin/env -iS A=1 python3.99", "#!/usr/bin/env -S -i python3.99", "#!train.py", '#!/usr/bin/env -S "',
    ):  # fmt: skip
        script.write_text(f"{line}\n")
        refuse_foreign_python([script], environment, path, script.parent)
    refuse_foreign_python(["/usr/bin/env", "python", script], environment, path, script.parent)


def test_prune_takes_what_is_unused_changed_or_half_built(bench: Bench) -> None:
    for name in ("used", "old", "changed", "kept"):
        wheel(bench.house, name)
    used, old, changed, kept = (bench.ensure(bench.pin(name)) for name in ("used", "old", "changed", "kept"))
    now = time.time()
    for environment in (old, kept):
        os.utime(environment.folder / MANIFEST, (now - 31 * 86400,) * 2)
    (changed.packages / "changed.py").unlink()
    half = bench.store / "envs" / ".build-0123456789abcdef-00000000"
    half.mkdir()
    (half / "file").write_bytes(b"x" * 1000)
    pruned = prune(bench.store, keep={kept.digest}, now=now)
    assert set(pruned.folders) == {old.folder, changed.folder, half}
    assert pruned.bytes > 1000
    assert sorted(path.name for path in (bench.store / "envs").iterdir()) == sorted(
        [".reprolock", used.digest, kept.digest]
    )
    assert set(prune(bench.store, days=0, now=time.time() + 1).folders) == {used.folder, kept.folder}
    assert prune(bench.store / "nowhere") == ((), 0)


def test_scripts_import_reprolock_without_declaring_it(bench: Bench) -> None:
    environment = bench.ensure(bench.pin())
    folder = write_runtime(bench.root / "runtime")
    context = bench.root / "context.json"
    context.write_text(
        json.dumps(
            {"version": 1, "run_id": "r", "project": "p", "seed": 7, "params": {"a": 1}, "datasets": {}, "outputs": {}}
        )
    )
    told = run(
        environment,
        "import reprolock, sys; print(reprolock.current().params['a'], reprolock.__file__)",
        PYTHONPATH=str(folder),
        REPROLOCK_CONTEXT=str(context),
    )
    assert told == f"1 {folder}/reprolock/__init__.py"
    assert sorted(
        path.relative_to(folder / "reprolock").as_posix() for path in (folder / "reprolock").rglob("*.py")
    ) == sorted(SCRIPT_MODULES)


@pytest.mark.parametrize("name", [name for name in SCRIPT_MODULES if name.startswith("readers/")])
def test_what_scripts_import_is_all_there(name: str, tmp_path: Path) -> None:
    folder = write_runtime(tmp_path / "runtime")
    module = f"reprolock.{name.removesuffix('.py').replace('/', '.')}".removesuffix(".__init__")
    beside = [path for path in sys.path if path.endswith("site-packages")]  # not ours, which is editable
    script = f"import sys; sys.path[:0] = {[str(folder), *beside]!r}; import {module} as found; print(found.__file__)"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == (f"{folder}/reprolock/{name}\n", "")


# --- the current interpreter against the lock -----------------------------------------------------------


def pinned(*packages: tuple[str, str, str | None], python: str = PYTHON) -> EnvironmentPin:
    pins = tuple(
        PackagePin(name=name, version=version, marker=marker, hashes=("0" * 64,)) for name, version, marker in packages
    )
    return EnvironmentPin.sealed(requirements=(), python=python, package=pins)


def test_drift_is_what_is_missing_or_of_another_version(tmp_path: Path) -> None:
    for name in ("six-1.17.0", "My_Tool-2.0", "extra-3"):
        (tmp_path / f"{name}.dist-info").mkdir()
    pin = pinned(
        ("six", "1.16.0", None),
        ("my-tool", "2.0.0", None),
        ("click", "8.2.1", None),
        ("winlib", "1.0", "sys_platform == 'nowhere'"),
    )
    differences = drift(pin, [str(tmp_path)])
    assert differences == [
        Difference("click", "8.2.1", None),
        Difference("extra", None, "3"),
        Difference("six", "1.16.0", "1.17.0"),
    ]
    with pytest.raises(PinError) as caught:
        refuse_drift(pin, [str(tmp_path)])
    assert str(caught.value) == (
        "the current interpreter differs from repro.lock in 2 packages\n"
        "package  locked  found\n"
        "click    8.2.1   -\n"
        "six      1.16.0  1.17.0"
    )
    assert caught.value.hint == (
        "install what is locked (`reprolock env --export requirements` writes it for pip), or leave out environment.isolated = false"
    )


def test_what_is_installed_beyond_the_lock_is_recorded_and_no_drift(tmp_path: Path) -> None:
    (tmp_path / "extra-3.dist-info").mkdir()
    assert refuse_drift(pinned(), [str(tmp_path)]) == (Difference("extra", None, "3"),)


def test_another_feature_version_of_python_is_drift(tmp_path: Path) -> None:
    with pytest.raises(PinError) as caught:
        refuse_drift(pinned(python="3.99"), [])
    assert caught.value.message == "the current interpreter differs from repro.lock in 1 package"
    assert caught.value.problems[1].split()[:2] == ["python", "3.99"]


def test_this_interpreter_does_not_drift_from_itself() -> None:
    folders = [Path(folder) for folder in sys.path]
    here = pinned(*((name, version, None) for name, version in list_installed(folders).items()))
    assert [difference for difference in drift(here) if difference.fails] == []
