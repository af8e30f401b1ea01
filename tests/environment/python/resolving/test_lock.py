"""The lock of Python's packages, by the real uv: against the index that the user's uv reads, and against a folder of files."""

from __future__ import annotations

import hashlib
import socket
import sys
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from wheelhouse import PYTHON, environ, sdist, wheel

from reprolock.environment.python.resolving.lock import resolve, without
from reprolock.environment.python.uv import Uv
from reprolock.errors import MachineError, PinError, ServiceError, UsageError
from reprolock.files.lock_file import lock_bytes, parse_lock
from reprolock.model.lock import EnvironmentPin, Lock
from reprolock.model.spec import EnvironmentSpec


def pin(
    tmp_path: Path, *packages: str, house: Path | None = None, variables: dict[str, str] | None = None, **options
) -> EnvironmentPin:
    spec = EnvironmentSpec(packages=packages)
    options.setdefault("python", PYTHON)
    return resolve(spec, tmp_path, environ=environ(tmp_path, house, **(variables or {})), **options)


def versions(found: EnvironmentPin) -> dict[str, str]:
    return {package.name: package.version for package in found.package}


@pytest.fixture
def house(tmp_path: Path) -> Path:
    folder = tmp_path / "house"
    folder.mkdir()
    return folder


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


# --- what is pinned -------------------------------------------------------------------------------


def test_names_versions_markers_and_hashes_for_every_platform(tmp_path: Path) -> None:
    found = pin(tmp_path, "markupsafe==3.0.2", 'six==1.17.0; sys_platform == "win32"', python="3.11")
    assert [(package.name, package.version, package.marker) for package in found.package] == [
        ("markupsafe", "3.0.2", None),
        ("six", "1.17.0", "sys_platform == 'win32'"),
    ]
    # CPython 3.11's wheels (glibc, musl, macOS, Windows) and the sdist, of the 61 files of this version.
    assert len(found.package[0].hashes) == 11
    assert found.package[1].hashes == (
        "4721f391ed90541fddacab5acf947aa0d3dc7d27b2e1e8eda2be8970586c3274",
        "ff70335d468e7eb6ec65b95b99d3a2836546063f63acc5171de367e834932a81",
    )
    assert found.requirements == ("markupsafe==3.0.2", 'six==1.17.0; sys_platform == "win32"')
    assert (found.python, found.java, found.build) == ("3.11", None, ())
    assert found.intact


def test_the_lock_reads_back_and_names_no_address(tmp_path: Path) -> None:
    found = pin(tmp_path, "six", "docopt==0.6.2", java="17")
    data = lock_bytes(Lock(environment=found))
    assert parse_lock(data).environment == found
    assert b"://" not in data
    assert tomllib.loads(data.decode())["environment"]["java"] == "17"


def test_extras_and_what_they_need_are_pinned(tmp_path: Path, house: Path) -> None:
    wheel(house, "tool", needs=['helper; extra == "fast"', 'winlib; sys_platform == "win32"'])
    wheel(house, "helper"), wheel(house, "winlib")
    assert versions(pin(tmp_path, "tool", house=house)) == {"tool": "1.0", "winlib": "1.0"}
    found = pin(tmp_path, "tool[fast]", house=house)
    assert [(package.name, package.marker) for package in found.package] == [
        ("helper", None),
        ("tool", None),
        ("winlib", "sys_platform == 'win32'"),
    ]


def test_no_packages_is_an_environment_too(tmp_path: Path) -> None:
    assert pin(tmp_path).package == ()


def test_only_files_that_this_python_takes_are_pinned(tmp_path: Path, house: Path) -> None:
    for tag in (
        "cp311-cp311-win_amd64",
        "cp312-cp312-win_amd64",
        "cp39-abi3-win_amd64",
        "cp312-abi3-win_amd64",
        "py2-none-any",
    ):
        wheel(house, "mixed", tag=tag)
    found = pin(tmp_path, 'mixed; sys_platform == "win32"', house=house, python="3.11")
    taken = [
        hashlib.sha256((house / f"mixed-1.0-{tag}.whl").read_bytes()).hexdigest()
        for tag in ("cp311-cp311-win_amd64", "cp39-abi3-win_amd64")
    ]
    assert found.package[0].hashes == tuple(sorted(taken))


def test_requirements_constraints_and_hashes_of_a_file_are_held_to(tmp_path: Path, house: Path) -> None:
    files = [wheel(house, "tool", version) for version in ("1.0", "2.0")]
    good = hashlib.sha256(files[0].read_bytes()).hexdigest()
    sdist(house, "tool", "1.0")
    (tmp_path / "bounds.txt").write_text("tool<2\n")
    (tmp_path / "r.in").write_text(f"tool --hash=sha256:{good}\n-c bounds.txt\n")
    spec = EnvironmentSpec(requirements="r.in")
    found = resolve(spec, tmp_path, python=PYTHON, environ=environ(tmp_path, house))
    assert [line.split(" --hashes=")[0] for line in found.requirements] == ["tool", "-c tool<2"]
    assert [(package.version, package.hashes) for package in found.package] == [("1.0", (good,))]
    (tmp_path / "r.in").write_text("tool\n-c bounds.txt\n")
    free = resolve(spec, tmp_path, python=PYTHON, environ=environ(tmp_path, house), keep=found)
    assert [(package.version, len(package.hashes)) for package in free.package] == [("1.0", 2)]
    (tmp_path / "r.in").write_text("tool==2.0 --hash=sha256:" + "0" * 64 + "\n")
    with pytest.raises(PinError) as caught:
        resolve(spec, tmp_path, python=PYTHON, environ=environ(tmp_path, house))
    assert str(caught.value) == "no file of tool 2.0 on the index has a hash that the requirements file gives"


def test_an_address_that_has_a_hash_is_pinned_by_it(tmp_path: Path, house: Path) -> None:
    """The address itself is read from uv's own answer, for no index's address stands here."""
    (tmp_path / "r.in").write_text("six==1.17.0\n")
    arguments = ["pip", "compile", "r.in", "--format", "pylock.toml", "-o", "pylock.toml"]
    assert Uv(environ(tmp_path)).run(arguments, tmp_path).complaint is None
    address = tomllib.loads((tmp_path / "pylock.toml").read_text())["packages"][0]["wheels"][0]["url"]
    found = pin(tmp_path, f"six @ {address}")
    assert found.requirements == (f"six @ {address}",)
    assert [(package.name, package.version, package.source, package.hashes) for package in found.package] == [
        ("six", "1.17.0", None, ("4721f391ed90541fddacab5acf947aa0d3dc7d27b2e1e8eda2be8970586c3274",))
    ]


# --- what is kept, and what moves -------------------------------------------------------------------


def test_what_is_pinned_stays_until_it_is_upgraded(tmp_path: Path, house: Path) -> None:
    wheel(house, "tool", "1.0"), wheel(house, "other", "1.0")
    old = pin(tmp_path, "tool", "other", house=house)
    wheel(house, "tool", "1.1"), wheel(house, "tool", "1.2"), wheel(house, "other", "1.1")
    assert pin(tmp_path, "tool", "other", house=house, keep=old) == old
    kept = pin(tmp_path, "tool", "other", "tool>=1", house=house, keep=old)
    assert versions(kept) == {"tool": "1.0", "other": "1.0"}
    one = pin(tmp_path, "tool", "other", house=house, keep=old, upgrade_packages=("tool",))
    assert versions(one) == {"tool": "1.2", "other": "1.0"}
    exact = pin(tmp_path, "tool", "other", house=house, keep=old, upgrade_packages=("tool==1.1",))
    assert versions(exact) == {"tool": "1.1", "other": "1.0"}
    assert versions(pin(tmp_path, "tool", "other", house=house, keep=old, upgrade=True)) == {
        "tool": "1.2",
        "other": "1.1",
    }


def test_a_kept_pin_keeps_its_hashes_when_the_index_adds_a_file(tmp_path: Path, house: Path) -> None:
    wheel(house, "tool")
    old = pin(tmp_path, "tool", house=house)
    sdist(house, "tool")
    assert pin(tmp_path, "tool", house=house, keep=old) == old
    assert len(pin(tmp_path, "tool", house=house, keep=old, upgrade_packages=("tool",)).package[0].hashes) == 2


def test_a_pin_of_another_python_is_not_kept(tmp_path: Path, house: Path) -> None:
    wheel(house, "tool", "1.0")
    old = pin(tmp_path, "tool", house=house, python="3.12")
    wheel(house, "tool", "1.1")
    assert versions(pin(tmp_path, "tool", house=house, python="3.11", keep=old)) == {"tool": "1.1"}


def test_as_of_takes_what_was_there_then(tmp_path: Path) -> None:
    assert versions(pin(tmp_path, "six", as_of=datetime(2021, 6, 1, tzinfo=UTC))) == {"six": "1.16.0"}


def test_only_what_repro_toml_declares_decides_versions(tmp_path: Path, house: Path) -> None:
    wheel(house, "tool", "1.0"), wheel(house, "tool", "2.0")
    (tmp_path / "pyproject.toml").write_text('[tool.uv]\nconstraint-dependencies = ["tool<2"]\n')
    (tmp_path / "c.txt").write_text("tool<2\n")
    variables = {"UV_CONSTRAINT": str(tmp_path / "c.txt"), "UV_RESOLUTION": "lowest", "UV_EXCLUDE_NEWER": "2001-01-01"}
    assert versions(pin(tmp_path, "tool", house=house, variables=variables)) == {"tool": "2.0"}


# --- sdists -----------------------------------------------------------------------------------------


def test_what_an_sdist_is_built_with_is_pinned_too(tmp_path: Path, house: Path) -> None:
    wheel(house, "maker", needs=["gear"]), wheel(house, "gear"), wheel(house, "late")
    sdist(house, "raw", requires=["maker>=1"], asks=["late"])
    found = pin(tmp_path, "raw", house=house)
    assert [(package.name, package.source) for package in found.package] == [("raw", "sdist")]
    assert [(package.name, package.version) for package in found.build] == [
        ("gear", "1.0"),
        ("late", "1.0"),
        ("maker", "1.0"),
    ]
    wheel(house, "maker", "1.1")
    assert pin(tmp_path, "raw", house=house, keep=found) == found
    assert [package.version for package in pin(tmp_path, "raw", house=house, upgrade=True).build] == ["1.0", "1.1"]


def test_an_sdist_without_a_pyproject_is_built_with_setuptools(tmp_path: Path) -> None:
    found = pin(tmp_path, "docopt==0.6.2")
    assert [(package.name, package.source) for package in found.package] == [("docopt", "sdist")]
    assert [package.name for package in found.build] == ["setuptools"]


def test_a_platform_without_a_wheel_makes_it_an_sdist_unless_the_marker_leaves_that_platform_out(
    tmp_path: Path, house: Path
) -> None:
    for tag in ("manylinux_2_28_x86_64", "manylinux_2_28_aarch64", "macosx_11_0_arm64"):
        wheel(house, "native", tag=f"py3-none-{tag}")
    sdist(house, "native")
    assert pin(tmp_path, "native", house=house).package[0].source == "sdist"
    assert pin(tmp_path, 'native; sys_platform != "win32"', house=house).package[0].source is None


def test_a_backend_that_fails_when_asked_still_tells_what_it_declares(tmp_path: Path, house: Path) -> None:
    wheel(house, "maker")
    path = sdist(house, "raw", requires=["maker"], asks=[])
    path.unlink()
    sdist(house, "raw", requires=["maker"], asks=["not a requirement !"])
    assert [package.name for package in pin(tmp_path, "raw", house=house).build] == ["maker"]


def test_an_sdist_whose_build_requirements_are_nowhere(tmp_path: Path, house: Path) -> None:
    sdist(house, "raw", requires=["maker"])
    with pytest.raises(MachineError) as caught:
        pin(tmp_path, "raw", house=house)
    assert caught.value.message == (
        "the build requirements of raw 1.0, which has no wheel, cannot be determined: "
        "maker was not found in the provided package locations and you require maker"
    )
    assert (
        caught.value.hint == "ask for a version of raw that has wheels, or see whether it builds with `uv pip install`"
    )


# --- bad input and faulty services ---------------------------------------------------------------------------


def test_requirements_that_contradict_one_another(tmp_path: Path, house: Path) -> None:
    wheel(house, "app", needs=["lib>=2"]), wheel(house, "lib", "1.0"), wheel(house, "lib", "2.0")
    with pytest.raises(UsageError) as caught:
        pin(tmp_path, "app", "lib<2", house=house)
    assert caught.value.message == (
        "the requirements cannot be resolved: all versions of app depend on lib>=2 and you require app; you require lib<2"
    )
    assert caught.value.problems == (
        "Because all versions of app depend on lib>=2 and you require app, we can conclude that you require lib>=2.",
        "And because you require lib<2, we can conclude that your requirements are unsatisfiable.",
    )
    assert caught.value.hint == "loosen or change the requirements of [environment]"
    assert caught.value.exit_code == 2


def test_a_python_that_could_not_be_downloaded_is_not_what_failed(tmp_path: Path, house: Path) -> None:
    """uv looks for Python 3.9, warns that GitHub does not answer, and resolves with another one: the requirements are at fault."""
    wheel(house, "app", needs=["lib>=2"]), wheel(house, "lib", "1.0"), wheel(house, "lib", "2.0")
    variables = {
        "HTTPS_PROXY": f"http://127.0.0.1:{closed_port()}",
        "PATH": str(Path(sys.executable).resolve().parent),
        "UV_PYTHON_INSTALL_DIR": str(tmp_path / "pythons"),
    }
    with pytest.raises(UsageError) as caught:
        pin(tmp_path, "app", "lib<2", house=house, python="3.9", variables=variables)
    assert caught.value.message == (
        "the requirements cannot be resolved: all versions of app depend on lib>=2 and you require app; you require lib<2"
    )
    assert caught.value.problems[:2] == (
        "Because all versions of app depend on lib>=2 and you require app, we can conclude that you require lib>=2.",
        "And because you require lib<2, we can conclude that your requirements are unsatisfiable.",
    )
    assert caught.value.exit_code == 2


def test_a_package_that_no_index_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")  # a narrow terminal breaks no sentence
    with pytest.raises(UsageError) as caught:
        pin(tmp_path, "no-such-package-zz9q==1.0")
    assert str(caught.value) == (
        "the requirements cannot be resolved: no-such-package-zz9q was not found in the package registry "
        "and you require no-such-package-zz9q==1.0"
    )


def test_an_index_that_is_down_is_named_without_its_keys(tmp_path: Path) -> None:
    port = closed_port()
    variables = {"UV_DEFAULT_INDEX": f"http://me:sekret@127.0.0.1:{port}/simple", "UV_CACHE_DIR": str(tmp_path / "uv")}
    with pytest.raises(ServiceError) as caught:
        pin(tmp_path, "six", variables=variables)
    assert str(caught.value) == f"no answer from the package index at 127.0.0.1:{port}: connection refused"
    assert caught.value.hints == (
        "check the network and uv's own index settings (UV_DEFAULT_INDEX, UV_INDEX, uv.toml); --offline uses what is cached"
    )
    assert caught.value.exit_code == 5
    assert "sekret" not in repr(caught.value) + repr(caught.value.__cause__)


def test_offline_and_not_cached(tmp_path: Path) -> None:
    with pytest.raises(ServiceError) as caught:
        pin(tmp_path, "six", variables={"UV_CACHE_DIR": str(tmp_path / "uv")}, offline=True)
    assert str(caught.value) == "six is not in uv's cache, and --offline does not ask the package index"
    assert caught.value.hint == "run the same command once without --offline"
    assert caught.value.exit_code == 5


def test_offline_and_cached_gives_the_same_lock(tmp_path: Path) -> None:
    assert pin(tmp_path, "six") == pin(tmp_path, "six", offline=True)


def test_a_yanked_version_is_taken_when_asked_for_by_name_and_remarked_on(tmp_path: Path) -> None:
    remarks: list[str] = []
    assert versions(pin(tmp_path, "click==8.2.2", remark=remarks.append))["click"] == "8.2.2"
    assert remarks == ['click 8.2.2 is yanked (reason: "Unintended change in behavior of boolean options and None")']


def test_a_pyproject_that_asks_for_nothing_is_remarked_on_with_what_it_has(tmp_path: Path) -> None:
    """Groups and extras are asked for by name; a lock without a package is no mistake that would show by itself."""
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "p"\n[project.optional-dependencies]\ngpu = ["six"]\n[dependency-groups]\ntrain = ["six"]\n'
        '[tool.hatch.envs.default]\ndependencies = ["six"]\n'
    )
    remarks: list[str] = []
    spec = EnvironmentSpec(pyproject=".")
    found = resolve(spec, tmp_path, python=PYTHON, environ=environ(tmp_path), remark=remarks.append)
    assert found.package == ()
    assert remarks == [
        "pyproject.toml: what is declared of it asks for no package, and none is locked; "
        "it has the group train, the extra gpu, the Hatch environment default"
    ]
    (tmp_path / "uv.lock").touch()
    remarks.clear()
    resolve(spec, tmp_path, python=PYTHON, environ=environ(tmp_path), remark=remarks.append)
    assert remarks[1:] == [
        "uv.lock is not read, and versions may be others than its; to keep them, run `uv export --no-emit-project -o requirements.txt` "
        'and declare requirements = "requirements.txt"'
    ]
    remarks.clear()
    resolve(spec, tmp_path, python=PYTHON, environ=environ(tmp_path), remark=remarks.append, keep=found)
    assert len(remarks) == 1


def test_a_yanked_version_is_not_chosen(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        pin(tmp_path, "click>8.2.1,<8.3")
    assert caught.value.message == (
        "the requirements cannot be resolved: click==8.2.2 was yanked "
        "(reason: Unintended change in behavior of boolean options and None) "
        "and only the following versions of click are available: click<=8.2.1 click==8.2.2 click>=8.3; "
        "you require click>8.2.1,<8.3"
    )


def test_a_dependency_that_has_no_hash_is_refused(tmp_path: Path, house: Path) -> None:
    wheel(house, "app", needs=["lib @ git+https://127.0.0.1:9/lib.git"])
    with pytest.raises(UsageError) as caught:
        pin(tmp_path, "app", house=house)
    assert str(caught.value) == (
        "lib is named by address in another package's metadata, and a lock takes only what has a SHA-256"
    )
    assert caught.value.hint == "leave out what needs lib in this way, or ask for a version of it that does not"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("pandas>2", '--upgrade-package "pandas>2" is neither NAME nor NAME==VERSION'),
        ("=!", '--upgrade-package "=!" is neither NAME nor NAME==VERSION'),
        ("pandas", "--upgrade-package pandas: repro.lock pins no pandas"),
    ],
)
def test_upgrade_package_names_something_pinned(tmp_path: Path, house: Path, value: str, message: str) -> None:
    wheel(house, "tool")
    old = pin(tmp_path, "tool", house=house)
    with pytest.raises(UsageError) as caught:
        pin(tmp_path, "tool", house=house, keep=old, upgrade_packages=(value,))
    assert caught.value.message == message


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineError) as caught:
        pin(tmp_path, "six", variables={"UV_CACHE_DIR": str(tmp_path / "file")})
    assert caught.value.message.startswith("uv cannot write: ")
    assert caught.value.hint == "name a cache folder that you may write in UV_CACHE_DIR and try again"


@pytest.mark.parametrize(
    ("marker", "rest"),
    [
        ("a == 'b'", None),
        ("a == 'b' and os_name == 'nt'", "os_name == 'nt'"),
        (
            "(a == 'b' and os_name == 'nt' and extra == 'x') or (a == 'b' and os_name == 'posix')",
            "(os_name == 'nt' and extra == 'x') or os_name == 'posix'",
        ),
        ("a == 'b' and (os_name == 'nt' or os_name == 'x')", "a == 'b' and (os_name == 'nt' or os_name == 'x')"),
        ("os_name == 'nt'", "os_name == 'nt'"),
    ],
)
def test_what_always_holds_is_left_out_of_a_marker(marker: str, rest: str | None) -> None:
    assert without(marker, "a == 'b'") == rest
