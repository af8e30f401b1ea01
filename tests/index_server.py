"""A package index on loopback over a folder of wheels and sdists, as flawed as those that people have."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from zipfile import BadZipFile, ZipFile

Hashes = Callable[[str], str | None]
"""The hash that a link to a file of this name carries: "sha256", "md5" or None."""


class Index(ThreadingHTTPServer):
    """`asked` lists the paths of requests; `url` is what uv is given."""

    daemon_threads = True

    def __init__(self, house: Path, hashes: Hashes, keys: str | None, uploaded: str | None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.house, self.hashes, self.keys, self.uploaded = house, hashes, keys, uploaded
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/simple"


@contextmanager
def index_server(
    house: Path, hashes: Hashes = lambda name: "sha256", *, keys: str | None = None, uploaded: str | None = None
) -> Iterator[Index]:
    """An index (PEP 503; PEP 691 with upload times where `uploaded` is one), which asks for `keys` ("user:password")."""
    server = Index(house, hashes, keys, uploaded)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: Index

    def log_message(self, *_: object) -> None:
        """Nothing is written."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        keys = self.server.keys
        if keys and self.headers.get("Authorization") != f"Basic {base64.b64encode(keys.encode()).decode()}":
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="packages"')
            self.end_headers()
            return
        kind, _, name = self.path.strip("/").partition("/")
        if kind == "files" and (file := self.server.house / name).is_file():
            return self._answer(file.read_bytes(), "application/octet-stream")
        files = [file for file in sorted(self.server.house.iterdir()) if _normalised(file.name) == name]
        if kind != "simple" or not files:
            return self.send_error(404)
        if self.server.uploaded:
            return self._answer(self._json(name, files), "application/vnd.pypi.simple.v1+json")
        self._answer("".join(map(self._link, files)).encode(), "text/html")

    def _answer(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def _hash(self, file: Path) -> tuple[str, str] | None:
        algorithm = self.server.hashes(file.name)
        return (algorithm, hashlib.new(algorithm, file.read_bytes()).hexdigest()) if algorithm else None

    def _link(self, file: Path) -> str:
        found = self._hash(file)
        fragment = f"#{found[0]}={found[1]}" if found else ""
        python = _requires_python(file).replace("<", "&lt;").replace(">", "&gt;")
        asks = f' data-requires-python="{python}"' if python else ""
        return f'<a href="/files/{file.name}{fragment}"{asks}>{file.name}</a>\n'

    def _json(self, name: str, files: list[Path]) -> bytes:
        listed = [
            {
                "filename": file.name,
                "url": f"/files/{file.name}",
                "hashes": dict([found] if (found := self._hash(file)) else []),
                "upload-time": self.server.uploaded,
            }
            for file in files
        ]
        return json.dumps({"meta": {"api-version": "1.1"}, "name": name, "files": listed}).encode()


def _normalised(file: str) -> str:
    stem = file.split("-")[0] if file.endswith(".whl") else file.rsplit("-", 1)[0]
    return re.sub(r"[-_.]+", "-", stem).lower()


def _requires_python(file: Path) -> str:
    try:
        with ZipFile(file) as archive:
            [metadata] = [name for name in archive.namelist() if name.endswith("/METADATA")]
            found = re.search(r"^Requires-Python: (.*)$", archive.read(metadata).decode(), re.M)
            return found[1] if found else ""
    except BadZipFile:
        return ""
