"""Which ports a stack's servers listen on: those given, else those of the time before, else free ones."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from reprolock.errors import MachineError, UsageError
from reprolock.stack.files import Seen
from reprolock.stack.process import free_ports, is_free
from reprolock.stack.servers import Server


def choose_ports(
    servers: Sequence[Server], given: Mapping[str, int], seen: Mapping[str, Seen], running: Collection[str]
) -> dict[str, int]:
    """A port for every server, by name. While one of them runs all keep their ports: they know each other by them.

    UsageError for a port that is given twice, or to a stack that has another one; MachineError for one that
    another process has.
    """
    titles = {server.name: server.title for server in servers}
    for name, port in given.items():
        if list(given.values()).count(port) > 1:
            raise UsageError(f"port {port} is given twice", hint="name another port, or none: a free one is found")
        if running and name in seen and seen[name].port != port:
            raise UsageError(
                f"the stack is up with {titles[name]} on port {seen[name].port}, and --{name}-port says {port}",
                hint="run `reprolock stack down` first",
            )
    chosen: dict[str, int] = {}
    for name, title in titles.items():
        wanted = given.get(name) or (seen[name].port if name in seen else None)
        if wanted is None:
            continue
        if name in running or is_free(wanted):
            chosen[name] = wanted
        elif name in given:
            raise MachineError(
                f"port {wanted} (--{name}-port) is taken", hint="name another port, or none: a free one is found"
            )
        elif running:
            raise MachineError(
                f"port {wanted} of {title} is taken by another program",
                hint="run `reprolock stack down` and `reprolock stack up`: that finds free ones",
            )
    left = [name for name in titles if name not in chosen]
    return chosen | dict(zip(left, free_ports(len(left)), strict=True))
