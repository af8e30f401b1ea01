"""One connection to a lakeFS server: calls, their parsed answers or streams, and one rule for retries and errors.

The API client of `lakefs_sdk` makes the calls (addresses, credentials, TLS, the pool of connections). Its
model per object is left out: a listing of 10,000 objects takes a third of the time without it.
Every call has a time-out. What is safe to repeat is repeated with growing pauses: a connection that
was refused, a 429, and any failure of a call that changes nothing. Redirects are not followed, so
credentials never travel to another host. An answer that says no is `Refused`, for a caller that knows what
was asked; everything else that goes wrong becomes a ServiceError here.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, BinaryIO, cast
from urllib.parse import quote, urlencode, urlsplit

import urllib3
from lakefs_sdk.api_client import ApiClient
from lakefs_sdk.configuration import Configuration
from lakefs_sdk.exceptions import ApiException
from urllib3.exceptions import HTTPError, MaxRetryError, ReadTimeoutError, SSLError

from reprolock.errors import ServiceError
from reprolock.lake.lakefs.credentials import Credentials
from reprolock.lake.proxies import proxy_for
from reprolock.lake.upload_sources import Guarded, SizedFile
from reprolock.model.secrecy import redacted

PAGE = 1000
"""Entries per page: the most that lakeFS gives."""
CONNECTIONS = 16
SAID_LENGTH = 300
_BLOCK = 1 << 20
_JSON = {"Accept": "application/json", "Content-Type": "application/json"}
_AUTH = ["basic_auth", "jwt_token"]
_PASSING = (429, 502, 503, 504)
"""Answers worth a second try. Not 500: lakeFS has tried five times itself before it says so of its storage."""
_PASSING_UPLOADS = (500, *_PASSING)
"""What is uploaded streams through lakeFS, which then can try its storage only once itself."""


@dataclass(frozen=True)
class Patience:
    """How long to wait, in seconds, and how often to try. A write may take long: lakeFS merges meanwhile."""

    connect: float = 5
    read: float = 60
    write: float = 600
    tries: int = 3
    pause: float = 2
    """Before the second try; doubled before each further one."""


@dataclass(frozen=True)
class Route:
    """How the server is reached: a file with the certificate authorities to trust, a proxy."""

    ca_file: str | None = None
    proxy: str | None = None


class Refused(Exception):
    """lakeFS answered, and said no: an HTTP status between 400 and 499, and its own words."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(f"{status} {said}")
        self.status = status
        self.said = said


class Transport:
    """Calls to one server. An API path is a sequence of segments, which are quoted here."""

    def __init__(self, credentials: Credentials, route: Route = Route(), patience: Patience = Patience()) -> None:
        self.credentials = credentials
        self.patience = patience
        # The SDK says of some attributes that they are None, and of its methods nothing.
        configuration: Any = Configuration(
            host=credentials.endpoint + "/api/v1",
            username=None if credentials.session_token else credentials.access_key_id,
            password=None if credentials.session_token else credentials.secret_access_key,
            access_token=credentials.session_token,
            ssl_ca_cert=route.ca_file,
        )
        configuration.connection_pool_maxsize = CONNECTIONS
        configuration.retries = self._retries({"GET"})
        if route.proxy:
            proxy = urlsplit(route.proxy)
            configuration.proxy = route.proxy
            if proxy.username:
                login = f"{proxy.username}:{proxy.password or ''}"
                configuration.proxy_headers = urllib3.make_headers(proxy_basic_auth=login)
        self._client: Any = ApiClient(configuration)
        self._client.user_agent = "reprolock"
        self._pool: urllib3.PoolManager = self._client.rest_client.pool_manager
        self._pool.connection_pool_kw["blocksize"] = _BLOCK

    def ask(
        self,
        method: str,
        place: Sequence[str],
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        parse: Callable[[bytes], Any] = json.loads,
    ) -> Any:
        """One call's parsed answer, None where a change has none. Refused, ServiceError. `parse` raises ValueError for
        what lakeFS would not answer."""
        with self._translate_errors(repeated=method == "GET"):
            answer = self._client.call_api(
                _path(place),
                method,
                query_params=list((query or {}).items()),
                header_params=dict(_JSON),
                body=body,
                auth_settings=_AUTH,
                _preload_content=False,
                _request_timeout=self._timeout(method),
            )
            if not answer.raw_data and method != "GET":
                return None
            found = self._parse(answer.raw_data, parse)
            return _Answer(found, self.not_lakefs()) if isinstance(found, dict) else found

    def first_pages(
        self, place: Sequence[str], query: Mapping[str, Any], size: int = PAGE
    ) -> Iterator[list[dict[str, Any]]]:
        """The pages of a listing of which only the first entries may be wanted: one entry, then more and more."""
        query = {**query, "amount": 1}
        while True:
            answer = self.ask("GET", place, query)
            yield answer["results"]
            if not answer["pagination"]["has_more"]:
                return
            query = {**query, "after": self._onward(answer, query), "amount": min(10 * query["amount"], size)}

    def pages(self, place: Sequence[str], query: Mapping[str, Any], size: int = PAGE) -> Iterator[list[dict[str, Any]]]:
        """The pages of a listing; the next one is on its way while the caller works on one."""
        query = {**query, "amount": size}
        with ThreadPoolExecutor(1, thread_name_prefix="lakefs-page") as ahead:
            answer = self.ask("GET", place, query)
            while answer["pagination"]["has_more"]:
                query["after"] = self._onward(answer, query)
                following = ahead.submit(self.ask, "GET", place, dict(query))
                yield answer["results"]
                answer = following.result()
            yield answer["results"]

    def _onward(self, answer: Mapping[str, Any], query: Mapping[str, Any]) -> Any:
        """Where the next page starts. ServiceError where that is where this one did: it would never end."""
        offset = answer["pagination"]["next_offset"]
        if offset in (None, "", query.get("after")):
            raise self.not_lakefs()
        return offset

    def stream(
        self, place: Sequence[str], query: Mapping[str, str], headers: Mapping[str, str]
    ) -> urllib3.HTTPResponse:
        """An answer whose body is not read yet; the caller closes it."""
        with self._translate_errors():
            response: urllib3.HTTPResponse = self._client.rest_client.request(
                "GET",
                self._address(place, query),
                headers={**self._keys(), **headers},
                _preload_content=False,
                _request_timeout=self._timeout("GET"),
            )
            return response

    def fetch(self, address: str) -> bytes:
        """What stands at a signed address of the object store. No secret of lakeFS's goes there. ServiceError."""
        proxy = proxy_for(address, os.environ)
        with urllib3.ProxyManager(proxy) if proxy else urllib3.PoolManager() as pool:
            try:
                answer = pool.request("GET", address, timeout=self.patience.read)
            except HTTPError as error:
                raise self._network_error(error, self.patience.read) from error
        if answer.status != 200:
            raise ServiceError(
                f"the object store of lakeFS at {self.credentials.endpoint} answered {answer.status} to an address that lakeFS signed",
                hint="look at lakeFS's own log; its clock and the object store's may differ",
            )
        return answer.data

    def direct(self, place: Sequence[str], query: Mapping[str, str]) -> tuple[str, Mapping[str, str]]:
        """The address that `stream` asks, and the headers with the credentials: both for this server alone."""
        return self._address(place, query), self._keys()

    def read(self, response: urllib3.HTTPResponse, size: int) -> bytes:
        """The next bytes of a stream, as they were stored; b"" at its end. ServiceError when it breaks off."""
        with self._translate_errors():
            return response.read(size, decode_content=False)

    def upload(
        self, place: Sequence[str], query: Mapping[str, str], body: SizedFile | Guarded, size: int | None
    ) -> Any:
        """POST a body that is never whole in memory; the answer's parsed JSON.

        A body of known size is sent again after a failure: it is read from its start again, and
        the same bytes at the same path change nothing more. Of unknown size (None), it is sent once.
        """
        headers = {**self._keys(), "Accept": "application/json", "Content-Type": "application/octet-stream"}
        if size is not None:
            headers["Content-Length"] = str(size)
        passing = _PASSING if size is None else _PASSING_UPLOADS
        with self._translate_errors(repeated=size is not None, passing=passing):
            response = self._pool.request(
                "POST",
                self._address(place, query),
                body=cast(BinaryIO, body),  # urllib3 asks for read(size) alone
                headers=headers,
                timeout=urllib3.Timeout(connect=self.patience.connect, read=self.patience.write),
                retries=self._retries({"GET"} if size is None else {"POST"}, passing),
                redirect=False,
            )
            if not 200 <= response.status < 300:
                raise ApiException(http_resp=response)
            return self._parse(response.data, json.loads)

    def close(self) -> None:
        """Give back the connections."""
        self._pool.clear()
        self._client.close()

    def __enter__(self) -> Transport:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _address(self, place: Sequence[str], query: Mapping[str, str]) -> str:
        return f"{self._client.configuration.host}{_path(place)}?{urlencode(query, quote_via=quote)}"

    def _keys(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        self._client.update_params_for_auth(headers, [], _AUTH, "", "", None)
        return headers

    def _timeout(self, method: str) -> tuple[float, float]:
        return self.patience.connect, self.patience.read if method == "GET" else self.patience.write

    def _retries(self, methods: set[str], passing: Sequence[int] = _PASSING) -> _Retries:
        return _Retries(
            total=self.patience.tries - 1,
            redirect=False,
            allowed_methods=methods,
            status_forcelist=passing,
            backoff_factor=self.patience.pause,
            raise_on_status=False,  # the last answer is handed back: it says what is wrong
            respect_retry_after_header=False,  # it may ask for hours
        )

    @contextmanager
    def _translate_errors(self, *, repeated: bool = True, passing: Sequence[int] = _PASSING) -> Iterator[None]:
        """Foreign errors become ours here and nowhere else. Their causes are cut off: they may contain credentials."""
        started = time.monotonic()
        try:
            yield
        except ApiException as error:
            raise self._http_error(error, repeated and error.status in passing, time.monotonic() - started) from None
        except HTTPError as error:
            raise self._network_error(error, time.monotonic() - started) from None
        except UnicodeDecodeError:  # the SDK decodes the text of a refusal
            raise self.not_lakefs() from None

    def _parse(self, content: bytes, parse: Callable[[bytes], Any]) -> Any:
        try:
            return parse(content)
        except (ValueError, RecursionError):
            raise self.not_lakefs() from None

    def _http_error(self, error: ApiException, repeated: bool, seconds: float) -> Exception:
        """An answer that is not success."""
        server = f"lakeFS at {self.credentials.endpoint}"
        place, said = self.credentials.endpoint_place, _error_message(error.body)
        words = f": {said}" if said else ""
        if not error.status:  # how the SDK reports a failure of TLS
            return self._tls_error(str(error.reason).partition("\n")[2])
        if error.status == 401:
            keys = self.credentials.credentials_place
            return ServiceError(
                f"{server} rejects the credentials of {keys}{words}",
                hint=f"check the credentials in {keys}, and that they are for {self.credentials.endpoint}",
            )
        if error.status == 429 or error.status >= 500:
            after = _after(self.patience.tries if repeated or error.status == 429 else 1, seconds)
            return ServiceError(
                f"{server} ({place}) answers {error.status}{after}{words}",
                hint="see lakeFS's own log; `reprolock doctor` checks the connection",
            )
        if 300 <= error.status < 400:
            elsewhere = urlsplit((error.headers or {}).get("Location", ""))
            address = f"{elsewhere.scheme}://{elsewhere.netloc.rpartition('@')[2]}"
            return ServiceError(
                f"{server} ({place}) redirects to {address}; credentials are not sent there",
                hint="if you trust that address, write it as the endpoint",
            )
        return self.not_lakefs() if said is None else Refused(error.status, said)

    def _network_error(self, error: HTTPError, seconds: float) -> ServiceError:
        """No answer, or half of one."""
        if isinstance(error, SSLError):
            return self._tls_error(str(error))
        after = _after(self.patience.tries if isinstance(error, MaxRetryError) else 1, seconds)
        return ServiceError(
            f"no answer from lakeFS at {self.credentials.endpoint} ({self.credentials.endpoint_place}){after}",
            hint="is it running? `reprolock doctor` checks",
            owner_hint="`reprolock run --offline` uses what is cached",
        )

    def _tls_error(self, reason: str) -> ServiceError:
        return ServiceError(
            f"no trusted connection to lakeFS at {self.credentials.endpoint} ({self.credentials.endpoint_place}): "
            f"{_one_line(reason)}",
            hint="set SSL_CERT_FILE to a file with the certificate of its authority",
        )

    def not_lakefs(self) -> ServiceError:
        """What answers does not answer as lakeFS does: other words, or a field left out or of another kind."""
        return ServiceError(
            f"the server at {self.credentials.endpoint} ({self.credentials.endpoint_place}) is not lakeFS",
            hint="write the address of lakeFS's web page, without a path",
        )


class _Answer(dict[str, Any]):
    """What lakeFS answered. Where one of its own fields is missing, another server answered, or a proxy left it out."""

    def __init__(self, fields: Mapping[str, Any], problem: ServiceError) -> None:
        super().__init__(fields)
        self._problem = problem

    def __missing__(self, name: str) -> Any:
        raise self._problem


class _Retries(urllib3.Retry):
    """urllib3's rule, with a pause before the first repetition too, and less of what is hopeless."""

    def get_backoff_time(self) -> float:
        """Seconds: the pause, then twice it, then twice that."""
        return float(self.backoff_factor * 2 ** (len(self.history) - 1)) if self.history else 0.0

    def is_retry(self, method: str, status_code: int, has_retry_after: bool = False) -> bool:
        """A 429 was not acted upon, whatever the method."""
        return status_code == 429 or super().is_retry(method, status_code, has_retry_after)

    def increment(
        self,
        method: str | None = None,
        url: str | None = None,
        response: Any = None,
        error: Exception | None = None,
        _pool: Any = None,
        _stacktrace: TracebackType | None = None,
    ) -> _Retries:
        """Do not retry read time-outs and certificate errors: a retry would fail the same way."""
        if isinstance(error, (ReadTimeoutError, SSLError)):
            raise error
        return super().increment(method, url, response, error, _pool, _stacktrace)


def _after(tries: int, seconds: float) -> str:
    return f" after {tries} {'try' if tries == 1 else 'tries'} in {seconds:.0f} s"


def _path(place: Sequence[str]) -> str:
    return "".join("/" + quote(segment, safe="") for segment in place)


def _error_message(body: str | bytes | None) -> str | None:
    """lakeFS's own words out of an answer that says no; None where it is not an answer of lakeFS's."""
    try:
        content = json.loads(body or "null")
    except (ValueError, RecursionError):
        return None
    return _one_line(str(content.get("message", ""))) if isinstance(content, dict) else None


def _one_line(text: str) -> str:
    return redacted(" ".join(text.split()))[:SAID_LENGTH].rstrip(".")
