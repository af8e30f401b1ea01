"""Faults on the way to lakeFS: real sockets that refuse, stay silent, send elsewhere, or are something else.

No test here pretends to be lakeFS; what lakeFS itself answers is in test_lakefs_server and tests/live.
"""

from __future__ import annotations

import http.server
import io
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import services
from certificates import self_signed

from reprolock.errors import ServiceError, UsageError
from reprolock.lake.lakefs.credentials import Credentials
from reprolock.lake.lakefs.lake import LakeFSLake
from reprolock.lake.lakefs.transport import Patience, Route
from reprolock.lake.open import open_lake, proxy_for

HASTE = Patience(connect=0.5, read=0.3, write=0.3, pause=0.01)


def lake_at(endpoint: str, patience: Patience = HASTE, route: Route = Route()) -> LakeFSLake:
    return LakeFSLake(Credentials(endpoint, "an-access-key-id", "a-secret-access-key"), patience=patience, route=route)


class Gateway(http.server.BaseHTTPRequestHandler):
    """What may stand between a user and lakeFS: a plain web server that gives one answer to everything."""

    status = 503
    headers_sent: tuple[tuple[str, str], ...] = ()
    body = b"<html>Service Unavailable</html>"
    seen: list[tuple[str, str | None]]

    def answer(self) -> None:
        self.seen.append((self.command, self.headers["Authorization"]))
        self.rfile.read(int(self.headers["Content-Length"] or 0))
        self.send_response(self.status)
        for name, value in self.headers_sent:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    do_GET = do_POST = do_DELETE = answer

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def gateway(tls: ssl.SSLContext | None = None, **settings: object) -> Iterator[tuple[str, type[Gateway]]]:
    handler = type("Handler", (Gateway,), {"seen": [], **settings})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http{'s' if tls else ''}://localhost:{server.server_port}", handler
        finally:
            server.shutdown()
            thread.join()


def complaint(lake: LakeFSLake, write: bool = False) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        if write:
            lake.commit("example-repo", "main", "a message")
        else:
            lake.resolve("example-repo", "main")
    lake.close()
    assert "a-secret-access-key" not in repr(caught.value) + str(caught.value) + str(caught.value.hint)
    return caught.value


def test_nothing_listens() -> None:
    endpoint = f"http://127.0.0.1:{services.free_port()}"
    error = complaint(lake_at(endpoint, Patience()))
    assert (error.exit_code, error.message, error.hints) == (
        5,
        f"no answer from lakeFS at {endpoint} (LAKECTL_SERVER_ENDPOINT_URL) after 3 tries in 6 s",
        "is it running? `reprolock doctor` checks; `reprolock run --offline` uses what is cached",
    )


def test_a_refused_connection_is_tried_again_for_a_write_too() -> None:
    endpoint = f"http://127.0.0.1:{services.free_port()}"
    assert complaint(lake_at(endpoint), write=True).message.endswith("after 3 tries in 0 s")


def test_a_name_that_is_no_host() -> None:
    error = complaint(lake_at("http://lakefs.invalid"))
    assert error.message.startswith(
        "no answer from lakeFS at http://lakefs.invalid (LAKECTL_SERVER_ENDPOINT_URL) after 3 tries"
    )


@pytest.mark.parametrize("write", [False, True])
def test_a_server_that_never_answers_is_asked_once(write: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        error = complaint(lake_at(endpoint), write)
    assert error.message == f"no answer from lakeFS at {endpoint} (LAKECTL_SERVER_ENDPOINT_URL) after 1 try in 0 s"


def test_a_server_that_hangs_up() -> None:
    def hang_up(server: socket.socket) -> None:
        for _ in range(3):
            server.accept()[0].close()

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=hang_up, args=(server,))
        thread.start()
        endpoint = f"http://127.0.0.1:{server.getsockname()[1]}"
        error = complaint(lake_at(endpoint))
        thread.join()
    assert error.message == f"no answer from lakeFS at {endpoint} (LAKECTL_SERVER_ENDPOINT_URL) after 3 tries in 0 s"


def test_a_503_of_a_gateway_is_asked_again() -> None:
    with gateway() as (endpoint, handler):
        error = complaint(lake_at(endpoint))
    assert error.message == f"lakeFS at {endpoint} (LAKECTL_SERVER_ENDPOINT_URL) answers 503 after 3 tries in 0 s"
    assert [method for method, _ in handler.seen] == ["GET"] * 3


def test_a_503_for_a_write_is_not_sent_again() -> None:
    with gateway() as (endpoint, handler):
        error = complaint(lake_at(endpoint), write=True)
    assert error.message == f"lakeFS at {endpoint} (LAKECTL_SERVER_ENDPOINT_URL) answers 503 after 1 try in 0 s"
    assert [method for method, _ in handler.seen] == ["POST"]


def test_a_429_is_sent_again_even_for_a_write() -> None:
    with gateway(status=429) as (endpoint, handler):
        complaint(lake_at(endpoint), write=True)
    assert [method for method, _ in handler.seen] == ["POST"] * 3


def test_an_upload_of_a_file_is_sent_again_whole(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * 100_000)
    with gateway() as (endpoint, handler), pytest.raises(ServiceError):
        lake_at(endpoint).put("example-repo", "main", "file", file)
    assert [method for method, _ in handler.seen] == ["POST"] * 3


def test_an_upload_of_a_stream_is_sent_once() -> None:
    with gateway() as (endpoint, handler), pytest.raises(ServiceError):
        lake_at(endpoint).put("example-repo", "main", "file", io.BytesIO(b"x"))
    assert [method for method, _ in handler.seen] == ["POST"]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_keys_do_not_follow_a_redirect(status: int) -> None:
    with (
        gateway(status=200) as (elsewhere, other),
        gateway(status=status, headers_sent=(("Location", f"{elsewhere}/api?X-Amz-Signature=abc"),)) as (
            endpoint,
            _,
        ),
    ):
        error = complaint(lake_at(endpoint))
        complaint(lake_at(endpoint), write=True)
        with pytest.raises(ServiceError):
            lake_at(endpoint).open("example-repo", "main", "file")
    assert other.seen == []
    assert error.message == (
        f"lakeFS at {endpoint} (LAKECTL_SERVER_ENDPOINT_URL) redirects to {elsewhere}; credentials are not sent there"
    )


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"<html>"),
        (404, b"<html>"),
        (400, b"<Error/>"),
        (200, b"\xff\xfe"),
        (200, b""),
        (200, b'{"pagination": {"has_more": false}}'),
    ],
    ids=["a page", "no page", "XML", "bytes", "nothing", "half of it"],
)
def test_something_else_answers(status: int, body: bytes) -> None:
    with gateway(status=status, body=body) as (endpoint, _):
        error = complaint(lake_at(endpoint))
    assert (error.message, error.hint) == (
        f"the server at {endpoint} (LAKECTL_SERVER_ENDPOINT_URL) is not lakeFS",
        "write the address of lakeFS's web page, without a path",
    )


def test_an_object_store_is_not_lakefs(object_store: services.ObjectStore) -> None:
    error = complaint(lake_at(object_store.endpoint))
    assert error.message == f"the server at {object_store.endpoint} (LAKECTL_SERVER_ENDPOINT_URL) is not lakeFS"


def test_no_tls_behind_an_https_address() -> None:
    with gateway() as (endpoint, _):
        endpoint = endpoint.replace("http:", "https:")
        error = complaint(lake_at(endpoint))
    assert error.message.startswith(
        f"no trusted connection to lakeFS at {endpoint} (LAKECTL_SERVER_ENDPOINT_URL): [SSL"
    )


def test_a_certificate_is_checked_against_the_authorities_that_the_environment_names(tmp_path: Path) -> None:
    certificate, tls = self_signed(tmp_path)
    with gateway(tls, status=200) as (endpoint, handler):
        untrusted = complaint(lake_at(endpoint))
        assert handler.seen == [], "keys were sent to a server that is not trusted"
        environ = {
            "LAKECTL_SERVER_ENDPOINT_URL": endpoint,
            "LAKECTL_CREDENTIALS_ACCESS_KEY_ID": "an-access-key-id",
            "LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY": "a-secret-access-key",
        }
        for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
            lake = open_lake(None, tmp_path, environ | {name: str(certificate)}, tmp_path)
            assert isinstance(lake, LakeFSLake)
            assert complaint(lake).message.endswith("is not lakeFS"), "the certificate was accepted"
        with pytest.raises(UsageError) as caught:
            open_lake(None, tmp_path, environ | {"SSL_CERT_FILE": "/gone.pem"}, tmp_path)
    assert caught.value.message == "SSL_CERT_FILE names /gone.pem, which is not a file"
    assert untrusted.message.startswith(
        f"no trusted connection to lakeFS at {endpoint} (LAKECTL_SERVER_ENDPOINT_URL): "
    )
    assert untrusted.hint == "set SSL_CERT_FILE to a file with the certificate of its authority"


def test_a_proxy_is_used(tmp_path: Path) -> None:
    environ = {
        "LAKECTL_SERVER_ENDPOINT_URL": "http://lakefs.invalid",
        "LAKECTL_CREDENTIALS_ACCESS_KEY_ID": "an-access-key-id",
        "LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY": "a-secret-access-key",
    }
    with gateway(status=200) as (proxy, handler):
        lake = open_lake(None, tmp_path, environ | {"HTTP_PROXY": proxy}, tmp_path)
        assert isinstance(lake, LakeFSLake)
        assert complaint(lake).message.endswith("is not lakeFS"), "the proxy was asked for lakefs.invalid"
    assert len(handler.seen) == 1


@pytest.mark.parametrize(
    ("endpoint", "environ", "proxy"),
    [
        ("https://lakefs.example.com", {"HTTPS_PROXY": "http://proxy:3128"}, "http://proxy:3128"),
        ("https://lakefs.example.com", {"all_proxy": "http://proxy:3128"}, "http://proxy:3128"),
        ("https://lakefs.example.com", {"HTTP_PROXY": "http://proxy:3128"}, None),
        ("https://lakefs.example.com", {"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": ".example.com"}, None),
        ("http://127.0.0.1:8000", {"HTTP_PROXY": "http://proxy:3128"}, None),
        ("http://[::1]:8000", {"HTTP_PROXY": "http://proxy:3128"}, None),
        ("http://localhost:8000", {"HTTP_PROXY": "http://proxy:3128"}, None),
    ],
)
def test_which_proxy(endpoint: str, environ: dict[str, str], proxy: str | None) -> None:
    assert proxy_for(endpoint, environ) == proxy
