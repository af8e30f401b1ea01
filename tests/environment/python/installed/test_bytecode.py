"""Compiled modules of an environment: what no run left is removed before the next one."""

from __future__ import annotations

import importlib.util
import marshal
import struct
import subprocess
import sys
from pathlib import Path

from reprolock.environment.python.installed.bytecode import note_bytecode, remove_unknown_bytecode


def said(folder: Path) -> str:
    command = [sys.executable, "-c", "import tool; print(tool.said)"]
    return subprocess.run(command, cwd=folder, env={}, capture_output=True, text=True, check=True).stdout.strip()


def forge(source: Path) -> Path:
    """A compiled module of other code, which names the source's size and time as Python's own do."""
    compiled = Path(importlib.util.cache_from_source(str(source)))
    status = source.stat()
    header = importlib.util.MAGIC_NUMBER + struct.pack("<LLL", 0, int(status.st_mtime), status.st_size)
    compiled.parent.mkdir(exist_ok=True)
    compiled.write_bytes(header + marshal.dumps(compile("said = 'forged'", str(source), "exec")))
    return compiled


def test_bytecode_that_no_run_left_is_removed(tmp_path: Path) -> None:
    environment = tmp_path / "envs" / "0123456789abcdef"
    packages = environment / "lib" / "site-packages"
    packages.mkdir(parents=True)
    (packages / "tool.py").write_text("said = 'locked'\n")
    assert remove_unknown_bytecode(environment) == ()
    assert said(packages) == "locked"
    note_bytecode(environment)
    assert remove_unknown_bytecode(environment) == ()
    compiled = forge(packages / "tool.py")
    assert said(packages) == "forged"  # why it must not stay
    assert remove_unknown_bytecode(environment) == (str(compiled),)
    assert said(packages) == "locked"
    note_bytecode(environment)
    other = compiled.with_name("other.cpython-311.pyc")
    other.write_bytes(b"")
    assert remove_unknown_bytecode(environment) == (str(other),)


def test_without_a_note_nothing_is_known_and_a_note_goes_with_its_environment(tmp_path: Path) -> None:
    environments = [tmp_path / "envs" / name for name in ("one", "two")]
    for environment in environments:
        environment.mkdir(parents=True)
        (environment / "tool.py").write_text("said = 'locked'\n")
        forge(environment / "tool.py")
        note_bytecode(environment)
    (tmp_path / "bytecode" / "one").unlink()
    assert len(remove_unknown_bytecode(environments[0])) == 1
    assert remove_unknown_bytecode(environments[1]) == ()
    environments[1].rename(tmp_path / "gone")
    note_bytecode(environments[0])
    assert [path.name for path in (tmp_path / "bytecode").iterdir()] == ["one"]
