"""A proxy in front of a real server on loopback, whose connections a test can break at the worst moment."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


class BreakableProxy:
    """Passes bytes both ways. The answer to the next request that begins with `cut_answer_to` is lost: the server
    has done what was asked, and its client sees a connection that broke. `at_cut` is called in between."""

    def __init__(self, port: int) -> None:
        self.cut_answer_to: bytes | None = None
        self.cuts = 0
        self.at_cut: Callable[[], object] = lambda: None
        self._server = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._listening.getsockname()[1]}"

    def close(self) -> None:
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(("127.0.0.1", self._server))
        except OSError:
            client.close()
            return
        cut = threading.Event()
        back = threading.Thread(target=self._requests, args=(client, server, cut), daemon=True)
        back.start()
        with suppress(OSError):
            while (data := server.recv(1 << 16)) and not cut.is_set():
                client.sendall(data)
        if cut.is_set():
            self.at_cut()
        _hang_up(client, server)  # closing alone would not wake who waits for bytes
        back.join()
        client.close()
        server.close()

    def _requests(self, client: socket.socket, server: socket.socket, cut: threading.Event) -> None:
        with suppress(OSError):
            while data := client.recv(1 << 16):
                if self.cut_answer_to and data.startswith(self.cut_answer_to):
                    self.cut_answer_to = None
                    self.cuts += 1
                    cut.set()
                server.sendall(data)
        _hang_up(server)


def _hang_up(*ends: socket.socket) -> None:
    for end in ends:
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@contextmanager
def breakable_proxy(port: int) -> Iterator[BreakableProxy]:
    """A proxy to a server's port, for as long as the block lasts."""
    proxy = BreakableProxy(port)
    try:
        yield proxy
    finally:
        proxy.close()
