from __future__ import annotations

from pathlib import Path

import pytest

from reprolock.environment.python.requirements import Declaration, read_declared
from reprolock.errors import UsageError
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
    assert declaration.constraints == ("numpy<2",)


def test_the_hashes_of_a_requirements_file_are_held_to_and_not_repeated(tmp_path: Path) -> None:
    write(tmp_path, {"requirements.txt": "six==1.17.0 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n"})
    declaration = read_declared(EnvironmentSpec(requirements="requirements.txt"), tmp_path)
    assert declaration == Declaration(("six==1.17.0",), {"six": frozenset({"aa", "bb"})})


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
        ("git+https://example.com/x.git", f'"git+https://example.com/x.git" is a repository, and {GIT}'),
        ("x @ git+https://example.com/x.git@main", f"x comes from a repository, and {GIT}"),
        (
            "./wheels/x.whl",
            '"./wheels/x.whl" is a path on this machine, which no other machine has; '
            "build a wheel, publish it, and name it by version",
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
            {"r.in": "\n--extra-index-url https://example.com\n"},
            {"requirements": "r.in"},
            "r.in:2: --extra-index-url names an index, and a lock names none: give it to uv instead, as UV_INDEX or in uv.toml",
            "take the line out of r.in",
        ),
        (
            {"r.in": "-e .\n"},
            {"requirements": "r.in"},
            "r.in:1: -e names a path on this machine, which no other machine has; name code in run.code instead",
            "take the line out of r.in",
        ),
        (
            {"r.in": "--no-binary :all:\n"},
            {"requirements": "r.in"},
            "r.in:1: --no-binary is not understood here; only -r, -c and --hash are",
            "take the line out of r.in",
        ),
        (
            {"r.in": "-r s.in\n", "s.in": "-r r.in\n"},
            {"requirements": "r.in"},
            "r.in names itself by -r or -c",
            "take out one of the -r lines",
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
            'write it as pip would take it from an index, such as "pandas>=2,<3"',
        ),
        (
            {},
            {"pyproject": "lib"},
            'no pyproject.toml in "lib"',
            'name the folder that holds it in environment.pyproject, such as "."',
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
            {
                "pyproject.toml": '[project]\nname = "x"\ndependencies = ["My.Lib"]\n[tool.uv.sources]\nmy-lib = { path = "../lib" }\n'
            },
            {"pyproject": "."},
            "pyproject.toml: project.dependencies[0]: [tool.uv.sources] gives My.Lib a source of its own, which a lock cannot repeat",
            "publish it to an index, and name that index in UV_INDEX or uv.toml",
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
