"""Start, find again, probe and end a server that outlives the command that started it.

A server has a session of its own, so that neither a closed terminal nor Ctrl-C reaches it. It is known again by
process ID and start time together: an ID alone may belong to another process by now, which is never touched. Its children,
also those that it left when it crashed, carry its marker (`reprolock.engine.process_tree`).
"""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from reprolock.engine.process_tree import MARKER, Tree
from reprolock.errors import MachineError
from reprolock.files.os_errors import cannot_write
from reprolock.stack.files import LOG, OLD_LOG, Seen
from reprolock.stack.servers import HOST

_INHERITED = ("PATH", "HOME", "TMPDIR", "TEMP", "TMP", "LANG", "SYSTEMROOT")
_SAME_SECONDS = 2.0
"""A start time is reckoned from the clock at boot, which a correction of the clock moves a little."""
_END_SECONDS = 15.0
_ANSWER_SECONDS = 5.0
_TAIL_BYTES = 64_000


def launch(
    argv: Sequence[str], variables: Mapping[str, str], environ: Mapping[str, str], folder: Path, port: int
) -> Seen:
    """Start a server in `folder`, where its log is. Of `environ` it gets what any program needs, and nothing else."""
    inherited = {name: environ[name] for name in _INHERITED if name in environ}
    try:
        with suppress(FileNotFoundError):
            os.replace(folder / LOG, folder / OLD_LOG)
        with open(os.open(folder / LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as log:
            child = subprocess.Popen(
                argv,
                env={**inherited, **variables, MARKER: str(folder)},
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
    except OSError as error:
        if error.filename in (str(folder / LOG), str(folder)):
            raise cannot_write(folder / LOG, error) from error
        reason = (error.strerror or str(error)).lower()
        raise MachineError(
            f"{argv[0]} cannot be started: {reason}", hint="look at the program, or install it again"
        ) from error
    child.returncode = 0  # it outlives us on purpose, and Python need not warn of that
    with suppress(psutil.Error):
        return Seen(port, child.pid, psutil.Process(child.pid).create_time())
    return Seen(port)  # it has ended already


def is_running(seen: Seen | None) -> bool:
    """Whether the very process that was started is still there."""
    if seen is None or seen.pid is None or seen.started is None:
        return False
    try:
        process = psutil.Process(seen.pid)
        if abs(process.create_time() - seen.started) > _SAME_SECONDS:
            return False
        if process.status() != psutil.STATUS_ZOMBIE:
            return True
        process.wait(0)  # a child of ours that ended
    except psutil.Error:
        pass
    return False


def answers(port: int, path: str) -> bool:
    """Whether a health check on loopback gives 200 or 204."""
    connection = http.client.HTTPConnection(HOST, port, timeout=_ANSWER_SECONDS)
    try:
        connection.request("GET", path)
        return connection.getresponse().status in (200, 204)
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def end(folder: Path, seen: Seen | None) -> bool:
    """End a server and all that came of it: asked first, killed when it takes too long. Whether nothing of it is left."""
    group = seen.pid if seen is not None and is_running(seen) else None
    tree = Tree(str(folder), group=group)
    tree.end(_END_SECONDS)
    return not tree.alive() and not is_running(seen)


def is_free(port: int) -> bool:
    """Whether a server could listen there now. MachineError for a port that needs an administrator."""
    with socket.socket() as probe:
        if os.name != "nt":  # there the option means something else
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except PermissionError:
            raise MachineError(
                f"port {port} can be used only by administrators", hint="name a port above 1023"
            ) from None
        except OSError:
            return False
    return True


def free_ports(count: int) -> list[int]:
    """So many different ports that no process listens on now."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind((HOST, 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def tail(folder: Path, lines: int) -> list[str]:
    """The last lines of a server's log; none where there is no log."""
    try:
        with (folder / LOG).open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - max(_TAIL_BYTES, 200 * lines)))
            return log.read().decode(errors="replace").splitlines()[-lines:]
    except FileNotFoundError:
        return []
