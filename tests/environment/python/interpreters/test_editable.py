"""Where a Python imports from, beside the packages that are installed in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from reprolock.environment.python.interpreters.editable import linked_folders
from reprolock.environment.python.interpreters.interpreter import list_installed, package_folders


def test_folders_that_files_among_the_packages_lead_to(tmp_path: Path) -> None:
    packages, src, flat = (tmp_path / name for name in ("site-packages", "src", "flat"))
    for folder in (packages / "inside", src, flat / "pkg", tmp_path / "dev" / "reprolock"):
        folder.mkdir(parents=True)
    files = {
        "a.pth": f"\ufeff# a comment\nimport os; os.getcwd()\n\ninside\n{src}\n/nowhere\n{tmp_path}/dev\n",
        "b.pth": "\0\n",
        "__editable___pkg_1_0_finder.py": f"MAPPING: dict[str, str] = {{'pkg': '{flat}/pkg'}}\nNAMESPACES: dict[str, list] = {{}}\n",
        "__editable___odd_finder.py": "MAPPING: dict[str, str] = made()\n",
        "__editable___bad_finder.py": "MAPPING: (\n",
        "__editable___none_finder.py": "MAPPING: dict[str, str]\n",
        "__editable___list_finder.py": "MAPPING: dict[str, str] = [1]\n",
    }
    for name, text in files.items():
        (packages / name).write_text(text)
    (packages / "latin.pth").write_bytes(b"\xff\n")
    assert linked_folders([packages, tmp_path / "gone"]) == {src: "a.pth", flat: "__editable___pkg_1_0_finder.py"}


def test_packages_are_those_that_python_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A virtual environment's own, the system's, a user's; by metadata of pip and of distutils."""
    own, system = tmp_path / "venv" / "site-packages", tmp_path / "lib" / "dist-packages"
    for folder, names in (
        (own, ("six-1.17.0.dist-info",)),
        (system, ("six-1.16.0.dist-info", "PyYAML-6.0-py3.11.egg-info", "my_lib-2.0.egg-info")),
    ):
        for name in names:
            (folder / name).mkdir(parents=True)
    monkeypatch.setattr("sys.path", ["", str(tmp_path), str(own), str(system)])
    assert package_folders() == (own, system)
    assert list_installed(package_folders()) == {"my-lib": "2.0", "pyyaml": "6.0", "six": "1.17.0"}
