"""`stack`: a real lakeFS on a real object store, and an MLflow server, for one project on this machine.

In: a project's folder. Out: local processes on loopback that outlive the command, their data and random secrets in
`.reprolock/stack/`, and a `Stack` that says where they are. Only `variables` hands secrets out.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Literal, NamedTuple

from reprolock.errors import MachineError, ReprolockError, ServiceError, UsageError
from reprolock.files.atomic_write import guard
from reprolock.files.os_errors import cannot_write
from reprolock.lake.lakefs.credentials import ENDPOINT, KEY_ID, SECRET
from reprolock.stack.buckets import make_buckets
from reprolock.stack.files import (
    FOLDER,
    LOG,
    Keys,
    Seen,
    clear,
    make_folder,
    make_keys,
    read_keys,
    read_seen,
    stack_folder,
    write_seen,
)
from reprolock.stack.ports import choose_ports
from reprolock.stack.process import answers, end, free_ports, is_running, launch, tail
from reprolock.stack.programs import find_programs
from reprolock.stack.servers import NAMES, STORES, Server, Site, endpoint, servers_on
from reprolock.steps.project.machine import Machine

START_SECONDS = 90.0
_TICK = 0.1
_TAIL = 12
_FULL = ("no space left on device", "disk is full")
"""As the servers' logs put it."""
_UP = "run `reprolock stack up`"


class ServerStatus(NamedTuple):
    """`state` is "silent" for a process that does not answer. `endpoint` is None before the first start."""

    name: str
    title: str
    state: Literal["up", "silent", "down"]
    endpoint: str | None
    pid: int | None
    log: Path


class Stack(NamedTuple):
    """The servers in the order of their start, and which of them the call itself started or ended."""

    folder: Path
    servers: tuple[ServerStatus, ...]
    changed: tuple[str, ...] = ()

    @property
    def is_up(self) -> bool:
        """Whether every server answers."""
        return all(server.state == "up" for server in self.servers)


def up(
    root: Path,
    ports: Mapping[str, int] = {},
    *,
    store: str | None = None,
    install: bool = False,
    tell: Callable[[str], None] = lambda text: None,
    machine: Machine | None = None,
) -> Stack:
    """Start what is not up, and wait until all of it answers. Data, credentials and ports are those of the last start.

    `ports`: server name → port; a free one is found for the others. `store`: one of `STORES`, by default that of the last
    start, or MinIO; UsageError for another one than holds the data. `install` gets missing programs by their
    official ways, `tell` hears what takes long. MachineError for a missing program, a taken port or a full disk;
    ServiceError, with the end of its log, for a server that does not come up: then all that this call started is
    ended again.
    """
    machine = machine or Machine.here()
    root = _project(root)
    folder = stack_folder(root)
    held = _store_of(folder)
    if store is not None and held not in (None, store):
        raise UsageError(
            f"the stack in {folder} keeps its data in {STORES[held].title}, and --store says {store}",
            hint="`reprolock stack down --purge` removes it with its data; leave --store out to go on with it",
        )
    if ports or not _status(folder).is_up:  # a look first: a stack that is up needs no program and no guard
        with _alone(root):
            changed = _start_missing(root, store or held or _DEFAULT, ports, install, tell, machine)
            return _status(folder)._replace(changed=changed)
    return _status(folder)


def down(root: Path, *, purge: bool = False) -> Stack:
    """End every server. The data stay unless `purge`. MachineError for a process that does not end."""
    root = _project(root)
    folder = stack_folder(root)
    if not folder.exists():
        return _status(folder)
    with _alone(root):
        seen = read_seen(folder)
        servers = _servers(folder)
        ran = tuple(server.name for server in servers if is_running(seen.get(server.name)))
        left = [server for server in reversed(servers) if not _end(folder, server, seen)]
        write_seen(folder, seen)
        if left:
            raise _does_not_end(left[0], seen)
        if purge:
            try:
                shutil.rmtree(folder)
            except OSError as error:
                raise cannot_write(folder, error) from error
    return _status(folder, servers)._replace(changed=ran)


def status(root: Path) -> Stack:
    """Ask every server for its health."""
    return _status(stack_folder(_project(root)))


def variables(root: Path) -> dict[str, str]:
    """What a shell has to export so that lakectl, MLflow and reprolock use the stack: addresses and credentials.

    ServiceError while a server is down.
    """
    folder = stack_folder(_project(root))
    keys = read_keys(folder)
    stack = _status(folder)
    away = [server.title for server in stack.servers if server.state != "up"]
    if keys is None or len(away) == len(NAMES):
        raise ServiceError(f"the stack in {folder} is not up", hint=_UP)
    if away:
        raise ServiceError(
            f"{' and '.join(away)} of the stack in {folder} {'is' if len(away) == 1 else 'are'} not up", hint=_UP
        )
    ports = {name: entry.port for name, entry in read_seen(folder).items()}
    return {
        ENDPOINT: endpoint(ports["lakefs"]),
        KEY_ID: keys.lakefs_key_id,
        SECRET: keys.lakefs_secret,
        "MLFLOW_TRACKING_URI": endpoint(ports["mlflow"]),
    }


def logs(root: Path, name: str | None = None, lines: int = 20) -> dict[str, list[str]]:
    """The last lines that each server (or the one named) printed since its start, without secrets."""
    folder = stack_folder(_project(root))
    scanner = (read_keys(folder) or _NO_KEYS).scanner()
    return {one: [scanner.redact(line) for line in tail(folder / one, lines)] for one in NAMES if name in (None, one)}


_DEFAULT = "minio"


def _store_of(folder: Path) -> str | None:
    """The store that holds the stack's data; None where there are none yet."""
    return next((store for store in STORES if (folder / "store" / store).is_dir()), None)


def _servers(folder: Path) -> tuple[Server, ...]:
    return servers_on(_store_of(folder) or _DEFAULT)


_NO_KEYS = Keys("", "", "", "", "", "")


def _project(root: Path) -> Path:
    root = root.resolve()
    if not root.is_dir():
        raise UsageError(f"{root} is not a folder", hint="name the project's folder with -C")
    return root


def _alone(root: Path) -> AbstractContextManager[bool]:
    return guard(root / FOLDER, "starting or ending the stack", seconds=3 * START_SECONDS)


def _status(folder: Path, known: Sequence[Server] = ()) -> Stack:
    """`known`: the servers of a stack whose data may be gone, and with them what tells its store."""
    seen = read_seen(folder)
    servers = []
    for server in known or _servers(folder):
        entry = seen.get(server.name)
        log = folder / server.name / LOG
        if entry is None or not is_running(entry):
            servers.append(
                ServerStatus(server.name, server.title, "down", endpoint(entry.port) if entry else None, None, log)
            )
            continue
        state: Literal["up", "silent"] = "up" if answers(entry.port, server.health) else "silent"
        servers.append(ServerStatus(server.name, server.title, state, endpoint(entry.port), entry.pid, log))
    return Stack(folder, tuple(servers))


def _start_missing(
    root: Path, store: str, ports: Mapping[str, int], install: bool, tell: Callable[[str], None], machine: Machine
) -> tuple[str, ...]:
    """The names of what was started."""
    folder = stack_folder(root)
    running = {server.name for server in _status(folder).servers if server.state == "up"}
    servers = servers_on(store)
    missing = [server for server in servers if server.name not in running]
    seen = read_seen(folder)
    for server in missing if folder.exists() else ():
        # What is silent, and what a crashed server has left, would hold its port.
        if not _end(folder, server, seen):
            raise _does_not_end(server, seen)
    chosen = choose_ports(servers, ports, seen, running)
    if not missing:
        return ()
    programs = find_programs(store, machine, install=install, tell=tell)
    known = read_keys(folder)
    keys = known or make_keys(root)
    for path in (path for server in servers for path in server.folders):
        make_folder(root, path)
    site = Site(folder, store, chosen, keys, programs, free_ports(STORES[store].inner))
    begun: list[Server] = []
    try:
        for server in missing:
            begun.append(server)
            call = server.arguments(site), server.variables(site)
            seen[server.name] = launch(*call, machine.environ, make_folder(root, server.name), chosen[server.name])
            write_seen(folder, seen)
            if server.name == "store":
                _wait(server, seen, site)  # the others need it; they themselves come up side by side
                if server.makes_buckets:
                    make_buckets(site)
        for server in begun:
            _wait(server, seen, site)
    except BaseException:
        for server in reversed(begun):
            _end(folder, server, seen)
        with suppress(ReprolockError):  # the first error is the one to tell
            if known is None:
                clear(folder)  # a database that was made by half would stay so
            else:
                write_seen(folder, seen)
        raise
    return tuple(server.name for server in begun)


def _wait(server: Server, seen: Mapping[str, Seen], site: Site) -> None:
    """Until it answers. ServiceError where it ends, or takes too long."""
    deadline = time.monotonic() + START_SECONDS
    entry = seen[server.name]
    while not (answers(entry.port, server.health) and is_running(entry)):
        if is_running(entry) and time.monotonic() < deadline:
            time.sleep(_TICK)
            continue
        said = [site.keys.scanner().redact(line) for line in tail(site.folder / server.name, 10 * _TAIL)]
        if any(words in line.lower() for words in _FULL for line in said):
            raise MachineError(
                f"{server.title} did not come up: the disk that holds {site.folder} is full",
                hint="free space there and try again",
            )
        what = (
            f"it did not answer at {site.endpoint(server.name)} in {START_SECONDS:.0f} s"
            if is_running(entry)
            else "it ended"
        )
        raise ServiceError(
            f"{server.title} did not come up: {what}, and says last"
            if said
            else f"{server.title} did not come up: {what}",
            hint=f"`reprolock stack logs {server.name}` shows more of its log",
            problems=tuple(said[-_TAIL:]),
        )


def _end(folder: Path, server: Server, seen: dict[str, Seen]) -> bool:
    """End one server and forget its process; its port is remembered. Whether it ended."""
    entry = seen.get(server.name)
    if not end(folder / server.name, entry):
        return False
    if entry is not None:
        seen[server.name] = Seen(entry.port)
    return True


def _does_not_end(server: Server, seen: Mapping[str, Seen]) -> MachineError:
    pid = seen[server.name].pid if server.name in seen else None
    return MachineError(
        f"{server.title} (process {pid or 'unknown'}) does not end", hint="end it by hand and try again"
    )
