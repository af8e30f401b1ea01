"""Which Java is found, what is said of it, and what is said where there is none."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from reprolock.environment.jvm.java import Java, check_java, find_java, install_hint
from reprolock.errors import MachineError
from reprolock.model.spec import EnvironmentSpec


@pytest.fixture
def real(tmp_path: Path) -> Java:
    """The Java of this machine, asked anew."""
    return find_java(environ(tmp_path))


def environ(tmp_path: Path, **more: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "JAVA_HOME") if name in os.environ}
    return kept | {"REPROLOCK_CACHE_DIR": str(tmp_path / "cache")} | more


def test_java_says_what_it_is(real: Java) -> None:
    assert real.feature.isdigit()
    assert real.version.split(".")[0] == real.feature
    assert real.executable.is_file()
    assert str(real) == f"{real.version} ({real.vendor})"


def test_java_home_comes_before_path(real: Java, tmp_path: Path) -> None:
    assert find_java(environ(tmp_path, JAVA_HOME=str(real.home), PATH="/nowhere")) == real


def test_an_answer_is_remembered_until_the_program_changes(real: Java, tmp_path: Path) -> None:
    memory = tmp_path / "cache" / "java.json"
    ((program, (stamp, *_)),) = json.loads(memory.read_text()).items()
    memory.write_text(json.dumps({program: [stamp, "99", "99.1", "Nobody", str(real.home)]}))
    assert find_java(environ(tmp_path)) == Java("99", "99.1", "Nobody", real.home)
    memory.write_text(json.dumps({program: [[1, 2], "99", "99.1", "Nobody", str(real.home)]}))
    assert find_java(environ(tmp_path)) == real


@pytest.mark.parametrize("junk", ["", "[]", "{", '{"%s": 3}'])
def test_a_broken_memory_is_no_problem(junk: str, real: Java, tmp_path: Path) -> None:
    (tmp_path / "cache" / "java.json").write_text(junk.replace("%s", os.path.realpath(real.executable)))
    assert find_java(environ(tmp_path)) == real


@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")
def test_a_version_managers_shim_is_asked_each_time_and_seen_through(real: Java, tmp_path: Path) -> None:
    shim = tmp_path / "shims" / "java"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec "{real.executable}" "$@"\n')
    shim.chmod(0o755)
    before = (tmp_path / "cache" / "java.json").read_bytes()
    found = find_java(environ(tmp_path, PATH=str(shim.parent), JAVA_HOME=""))
    assert (found, found.executable) == (real, real.executable)
    assert (tmp_path / "cache" / "java.json").read_bytes() == before


def test_a_java_home_without_java(tmp_path: Path) -> None:
    with pytest.raises(MachineError) as caught:
        find_java(environ(tmp_path, JAVA_HOME=str(tmp_path)))
    program = "java.exe" if os.name == "nt" else "java"
    assert caught.value.message == f"JAVA_HOME is {tmp_path}, and there is no bin/{program} in it"
    assert caught.value.hint == "set JAVA_HOME to the folder of a Java, or unset it to take the first on PATH"
    assert caught.value.exit_code == 8


def test_no_java_at_all(tmp_path: Path) -> None:
    with pytest.raises(MachineError) as caught:
        find_java(environ(tmp_path, JAVA_HOME="", PATH=str(tmp_path)))
    assert caught.value.message == "no Java on this machine: JAVA_HOME is not set and PATH has no java"
    assert (caught.value.hint, caught.value.exit_code) == (install_hint(), 8)


@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")
def test_a_program_that_only_says_that_there_is_no_java(tmp_path: Path) -> None:
    # What macOS has at /usr/bin/java until a Java is installed.
    stub = tmp_path / "java"
    stub.write_text("#!/bin/sh\necho 'Unable to locate a Java Runtime.' >&2\nexit 1\n")
    stub.chmod(0o755)
    with pytest.raises(MachineError, match="^no Java on this machine"):
        find_java(environ(tmp_path, JAVA_HOME="", PATH=f"{tmp_path}{os.pathsep}{shutil.which('sh')}"))


@pytest.mark.parametrize(
    ("platform", "hint"),
    [
        (
            "linux",
            "run `apt install openjdk-21-jre-headless` (Debian, Ubuntu) or take a build from https://adoptium.net",
        ),
        ("darwin", "run `brew install openjdk@21`"),
        ("win32", "run `winget install EclipseAdoptium.Temurin.21.JRE`"),
    ],
)
def test_how_to_get_java(platform: str, hint: str) -> None:
    assert install_hint("21", platform) == hint


@pytest.mark.parametrize("requirement", [None, "17", ">=17", ">= 11", "==17"])
def test_a_java_that_answers(requirement: str | None) -> None:
    check_java(Java("17", "17.0.15", "Debian", Path("/jdk")), EnvironmentSpec(java=requirement))


@pytest.mark.parametrize("requirement", ["21", ">=21", "==11"])
def test_a_java_that_does_not(requirement: str) -> None:
    with pytest.raises(MachineError) as caught:
        check_java(Java("17", "17.0.15", "Debian", Path("/jdk")), EnvironmentSpec(java=requirement))
    feature = requirement.lstrip("=>")
    assert caught.value.message == f'Java 17.0.15 is at /jdk, and environment.java asks for "{requirement}"'
    assert caught.value.hint == f"{install_hint(feature)}, and set JAVA_HOME to its folder"
