"""Run uv, which resolves and installs Python packages, and turn its failures into reprolock's errors.

The one place that starts uv and reads what it says. Which index packages come from is the matter of
this machine and its user: uv's own settings (UV_DEFAULT_INDEX, UV_INDEX, ~/.config/uv/uv.toml, keyring)
are honoured, and a project's as `indexes` reads them; pip's are not read, for uv does not. What would decide versions past repro.toml
(UV_CONSTRAINT, UV_PRERELEASE, a project's [tool.uv]) is kept out.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from reprolock.environment.python.indexes import Indexes
from reprolock.environment.python.user_settings import user_settings
from reprolock.errors import MachineError, ReprolockError, ServiceError, UsageError
from reprolock.model.secrecy import redacted, signs

WHERE_FROM = (
    *("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_*", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS"),
    *("UV_KEYRING_PROVIDER", "UV_CREDENTIALS_DIR", "UV_INSECURE_HOST", "UV_NATIVE_TLS", "UV_SYSTEM_CERTS"),
    *("UV_HTTP_*", "UV_REQUEST_TIMEOUT", "UV_CONCURRENT_*", "UV_LOCK_TIMEOUT", "UV_OFFLINE"),
    *("UV_CACHE_DIR", "UV_LINK_MODE", "UV_PYTHON_INSTALL_DIR", "UV_PYTHON_INSTALL_MIRROR", "UV_PYTHON_DOWNLOADS"),
)
"""uv's variables that say where packages come from and how they are fetched; no other UV_ variable reaches uv."""
_LINK_MODE = "UV_LINK_MODE"
_OF_A_SESSION = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "VIRTUAL_ENV", "CONDA_PREFIX")
_STEP = re.compile(r"\s*((?:Downloading|Building) .+)")
_CREDENTIALS = re.compile(r"(?<=://)[^/\s@]+@")
_ADDRESS = re.compile(r"https?://[^\s`'\")]+")
_UNREACHABLE = re.compile(
    r"request failed after|failed to fetch|error sending request|client error \(connect\)|timed out|HTTP status server error",
    re.I,
)
_REFUSED = re.compile(r"(401 Unauthorized|403 Forbidden)")
_ANSWERED = re.compile(r"HTTP status (?:client|server) error \(([^)]+)\) for url \((\S+?)\)")
_UNREADABLE = re.compile(r"Received some unexpected (?:HTML|JSON) from ")


class Complaint(NamedTuple):
    """What uv says when it fails: the `error:` line, its causes (each may have several lines) and its hints."""

    head: str
    causes: tuple[str, ...]
    hints: tuple[str, ...]

    @property
    def text(self) -> str:
        """All of it, for recognising what happened."""
        return "\n".join((self.head, *self.causes, *self.hints))

    @property
    def innermost(self) -> str:
        """The last cause, in one line without markup, addresses and error numbers."""
        line = (self.causes or (self.head,))[-1].splitlines()[0]
        line = re.sub(r" for url \(.*| \(os error \d+\)|^Because |,? we can conclude that .*|\.$", "", line).replace(
            "`", ""
        )
        return line if line.startswith("HTTP") else line[:1].lower() + line[1:]

    @property
    def lines(self) -> tuple[str, ...]:
        """All of it as uv's explanation, line by line."""
        return tuple(line.strip() for line in self.text.splitlines() if line.strip())


class Answer(NamedTuple):
    """What uv printed, its warnings, and its complaint where it failed."""

    output: str
    warnings: tuple[str, ...]
    complaint: Complaint | None


@dataclass(frozen=True)
class Uv:
    """uv with a caller's settings. `progress` is given what takes its time, as it begins: "Building pyspark==4.2.0".
    With `no_build` it runs no package's build code."""

    environ: Mapping[str, str]
    offline: bool = False
    progress: Callable[[str], None] | None = None
    indexes: Indexes = Indexes()
    no_build: bool = False

    def run(
        self,
        arguments: Sequence[str],
        folder: Path,
        settings: Mapping[str, Any] = {},
        project: Mapping[str, Any] = {},
    ) -> Answer:
        """Run uv in `folder`, whose pyproject.toml, written here, is the only project settings that it sees.

        `settings` go below `[tool.uv]` with those of the indexes; `project` is its `[project]` table.

        An index, a cache or a disk that fails raises here (ServiceError, MachineError); any other
        failure is the answer's complaint, for the caller knows what was asked. Credentials never
        stand in what is returned, and reach uv by its environment alone.
        """
        self._write_settings(folder, settings, project)
        command = [program(), *arguments, "--color", "never", "--no-progress", *(["--offline"] if self.offline else [])]
        try:
            # A file for the answer: a pipe that is not emptied while the progress is read would fill up.
            with (
                tempfile.TemporaryFile("w+", encoding="utf-8") as output,
                subprocess.Popen(
                    command,
                    cwd=folder,
                    env=_environment(self.environ, self.indexes.variables),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.PIPE,
                    encoding="utf-8",
                    errors="replace",
                ) as process,
            ):
                lines = self._lines(process)
                process.wait()
                output.seek(0)
                answer = output.read()
        except OSError as error:
            raise MachineError(
                f"uv cannot be started: {(error.strerror or str(error)).lower()}",
                hint="reinstall reprolock; it brings uv along",
            ) from error
        _refuse_unread_settings(lines)
        warnings, complaint = _understood(lines)
        if process.returncode == 0:
            return Answer(answer, warnings, None)
        if problem := _of_the_world(complaint):
            raise problem
        return Answer(answer, warnings, complaint)

    @property
    def near(self) -> Uv:
        """The same uv, kept to its cache: what is named by hash is as good from there, and nothing is fetched again."""
        return replace(self, offline=True)

    def _write_settings(self, folder: Path, settings: Mapping[str, Any], project: Mapping[str, Any]) -> None:
        import tomlkit  # only where uv is run

        own = {**self.indexes.settings, "no-build": self.no_build, **settings}
        table = {"tool": {"uv": own}} | ({"project": project} if project else {})
        (folder / "pyproject.toml").write_text(tomlkit.dumps(table), encoding="utf-8")

    def _lines(self, process: subprocess.Popen[str]) -> list[str]:
        lines = []
        try:
            for line in process.stderr or ():
                line = _CREDENTIALS.sub("", redacted(line.rstrip("\n")))
                lines.append(line)
                if self.progress and (step := _STEP.match(line)):
                    self.progress(step[1])
        except BaseException:
            process.kill()
            raise
        return lines


def program() -> str:
    """The path of the uv that came with reprolock; MachineError where it did not."""
    import uv  # finds its program by looking around; only where uv is run

    try:
        return uv.find_uv_bin()
    except FileNotFoundError:
        raise MachineError(
            "uv is not installed beside reprolock", hint="reinstall reprolock; it brings uv along"
        ) from None


def _environment(environ: Mapping[str, str], variables: Mapping[str, str]) -> dict[str, str]:
    # What builds a package is foreign code too: it does not learn where the key of a run's evidence is.
    kept = {
        name: value
        for name, value in environ.items()
        if not name.startswith("UV_") and not signs(name) and name not in _OF_A_SESSION
    }
    kept |= {
        name: value for name, value in environ.items() if any(fnmatchcase(name, pattern) for pattern in WHERE_FROM)
    }
    if (environ.get(_LINK_MODE) or user_settings(environ).get("link-mode")) == "symlink":
        kept[_LINK_MODE] = "copy"  # links into uv's cache would be edited, and cleaned away, with it
    return {
        **variables,
        **kept,
        "UV_NO_WRAP": "1",
    }  # its sentences are taken apart, and where COLUMNS is set it breaks them


def _refuse_unread_settings(lines: Sequence[str]) -> None:
    """UsageError where uv could not read the settings that it was given: it warns and goes on without all of them, so that
    packages would come from another index than the project names."""
    if not any(line.startswith("warning: ") and "settings discovery" in line for line in lines):
        return
    found = [match[1] for line in lines if (match := re.match(r"\s+\d+ \| (.+)", line))]
    where = f' "{found[0].strip()}"' if found else ""
    raise UsageError(
        f"uv does not understand{where} among the settings that say where packages come from",
        hint="correct [tool.uv] in pyproject.toml, uv.toml, or what UV_CONFIG_FILE names",
    )


def _understood(lines: Sequence[str]) -> tuple[tuple[str, ...], Complaint]:
    """uv's lines taken apart: its warnings, and its error with causes and hints. What a warning gives as its own
    causes explains no error: uv warns that it could not download a Python, and goes on without."""
    warnings: list[str] = []
    head: list[str] = []
    causes: list[str] = []
    hints: list[str] = []
    aside: list[str] = []
    explained, under = causes, aside
    for line in lines:
        mark, colon, text = line.partition(": ")
        if mark in ("warning", "error"):
            explained = aside if mark == "warning" else causes
        items = {"warning": warnings, "error": head, "  cause": explained, "hint": hints}.get(mark) if colon else None
        if items is not None:
            items.append(text)
            under = aside if items is warnings else items
        elif under and (line.startswith("   ") or not line):
            # The lines below a cause are indented under it; those below a hint belong to it as well.
            under[-1] += "\n" + line.strip()
    return tuple(warnings), Complaint(" ".join(head), tuple(cause.strip() for cause in causes), tuple(hints))


def _of_the_world(complaint: Complaint) -> ReprolockError | None:
    """The error where the index, the network, the cache or the disk is at fault, None where it is the question."""
    text = complaint.text
    if "network was disabled" in text or "connectivity is disabled" in text:
        missing = re.search(r"Because (\S+) was not found in the cache", text) or re.search(
            r"`([^`\s]+==[^`\s]+)`", text
        )
        what = missing[1] if missing else "what is needed"
        return ServiceError(
            f"{what} is not in uv's cache, and --offline does not ask the package index",
            hint="run the same command once without --offline",
        )
    if refused := _REFUSED.search(text):
        return ServiceError(
            f"the package index at {_host(text)} rejects the credentials: {refused[1]}",
            hint="give uv its credentials, as UV_INDEX_<NAME>_USERNAME and _PASSWORD or by `uv auth login`",
        )
    if answered := _ANSWERED.search(text):
        name = urlsplit(answered[2]).path.rstrip("/").rpartition("/")[2]
        return ServiceError(
            f"{_host(answered[2])} answers {answered[1]} for {name}",
            hint="try again, or name another index in uv's own settings (UV_DEFAULT_INDEX, UV_INDEX, uv.toml)",
            owner_hint="--offline uses what is cached",
        )
    if _UNREADABLE.search(text):
        return ServiceError(
            f"the package index at {_host(text)} gives a page that uv cannot read: {complaint.innermost}",
            hint="tell its owner, or name another index in uv's own settings (UV_DEFAULT_INDEX, UV_INDEX, uv.toml)",
        )
    if "No space left on device" in text:
        return MachineError(
            "uv cannot write its cache or the environment: the disk is full", hint="free space and try again"
        )
    if "Failed to initialize cache" in text or "Permission denied (os error 13)" in text:
        return MachineError(
            f"uv cannot write: {complaint.innermost}",
            hint="name a cache folder that you may write in UV_CACHE_DIR and try again",
        )
    if _UNREACHABLE.search("\n".join((complaint.head, *complaint.causes))):  # a hint says what might be, not what was
        return ServiceError(
            f"no answer from the package index at {_host(text)}: {complaint.innermost}",
            hint="check the network and uv's own index settings (UV_DEFAULT_INDEX, UV_INDEX, uv.toml)",
            owner_hint="--offline uses what is cached",
        )
    return None


def _host(text: str) -> str:
    """Host and port of the first address that is named, never its path, query or user."""
    address = _ADDRESS.search(text)
    if not address:
        return "an unknown address"
    parts = urlsplit(address[0])
    try:
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        port = ""
    return f"{parts.hostname}{port}"
