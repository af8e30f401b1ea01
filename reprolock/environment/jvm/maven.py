"""Choose the Maven repositories to ask, and download files from them.

In: variables, the user's own Maven settings, `[spark] conf`. Out: `Repository` values, and bytes. An
address never contains its password: what was in it as user name and password is kept apart and shown nowhere.
"""

from __future__ import annotations

import functools
import re
import shutil
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple
from urllib.parse import quote, unquote, urlsplit, urlunsplit
from xml.etree import ElementTree
from zipfile import ZipFile

from reprolock.environment.http import connections
from reprolock.environment.jvm.spark_home import spark_home
from reprolock.errors import MachineError, ServiceError, UsageError
from reprolock.model.secrecy import has_userinfo

if TYPE_CHECKING:
    import urllib3

VARIABLES = ("REPROLOCK_MAVEN_REPOSITORY", "DEFAULT_ARTIFACT_REPOSITORY")
"""The variables that replace Maven Central: our own, then Spark's."""
SETTING = "spark.jars.repositories"
"""Spark's own setting for further repositories."""
_CHUNK = 1 << 20


class Repository(NamedTuple):
    """One repository in Maven's layout: `url` ends with "/"; `named_by` says which variable or file names it."""

    url: str
    named_by: str = "Maven Central"
    user: str | None = None
    password: str | None = None

    def __repr__(self) -> str:
        return f"Repository({self.url!r}, {self.named_by!r})"

    def __str__(self) -> str:
        return f"{urlsplit(self.url).netloc or self.url} ({self.named_by})"


@functools.cache
def central() -> Repository:
    """Maven Central, at the address that Spark's own resolver has for it: it stands in the Ivy that pyspark carries."""
    with ZipFile(spark_home().ivy) as jar:
        code = jar.read("org/apache/ivy/plugins/resolver/IBiblioResolver.class")
    match = re.search(rb"https:[!-~]+/maven2/", code)
    if match is None:
        raise MachineError(
            f"{spark_home().ivy} names no Maven Central", hint=f"set {VARIABLES[0]} to a Maven repository"
        )
    return Repository(match[0].decode())


def repositories(environ: Mapping[str, str], home: Path, conf: Mapping[str, str]) -> tuple[Repository, ...]:
    """Where jars come from, in the order in which they are asked.

    1. REPROLOCK_MAVEN_REPOSITORY (several: separated by commas); else DEFAULT_ARTIFACT_REPOSITORY, which
       Spark obeys; else the mirror of Central in ~/.m2/settings.xml, with its server's credentials; else Central.
    2. `spark.jars.repositories` of `[spark] conf`. UsageError when an address there contains a password.
    """
    variable = next((name for name in VARIABLES if environ.get(name)), None)
    if variable:
        first = tuple(_parse_repository(url, variable) for url in _parse_list(environ[variable]))
    else:
        mirror = _mirror(home / ".m2" / "settings.xml", environ)
        first = (mirror or central(),)
    further = _parse_list(conf.get(SETTING, ""))
    if any(has_userinfo(url) for url in further):
        raise UsageError(
            f"spark.conf.{SETTING}: an address must not contain a user name or password",
            hint=f"put the whole address into {VARIABLES[0]}, in the environment",
        )
    return first + tuple(_parse_repository(url, SETTING) for url in further)


def path_of(coordinate: str, extension: str = "jar") -> str:
    """Where a file stands in Maven's layout: `GROUP:ARTIFACT:VERSION[:CLASSIFIER]` to a relative path."""
    group, artifact, version, *classifier = coordinate.split(":")
    name = "-".join([artifact, version, *classifier])
    return quote(f"{group.replace('.', '/')}/{artifact}/{version}/{name}.{extension}")


def fetch(sources: Sequence[Repository], path: str, into: BinaryIO) -> Repository | None:
    """Write the first repository's copy of `path` into an empty file and return that repository; None: no repository has it.

    ServiceError (exit 5) when one that does not answer, or rejects the credentials, might have had it.
    """
    silent: ServiceError | None = None
    for source in sources:
        try:
            if _copy(source, path, into):
                return source
        except ServiceError as error:
            silent = silent or error
            into.seek(0)
            into.truncate()
    if silent is not None:
        raise silent
    return None


def realm(source: Repository) -> str | None:
    """The realm under which a repository asks for credentials; None where it asks for none, or does not answer."""
    import urllib3  # see environment.http

    try:
        answer = connections(source.url).request("GET", source.url, retries=False, timeout=_timeout())
    except urllib3.exceptions.HTTPError:
        return None  # the caller that asks for a file raises the error
    match = re.search(r'Basic .*?realm="([^"]*)"', answer.headers.get("WWW-Authenticate", ""), re.IGNORECASE)
    return match[1] if match else None


def _timeout() -> urllib3.Timeout:
    import urllib3  # see environment.http

    return urllib3.Timeout(connect=15, read=60)


def _copy(source: Repository, path: str, into: BinaryIO) -> bool:
    """False when the repository answers that it has no such file."""
    if source.url.startswith("file:"):
        file = Path(urllib.request.url2pathname(urlsplit(source.url).path)) / unquote(path)
        if file.is_file():
            with file.open("rb") as copied:
                shutil.copyfileobj(copied, into, _CHUNK)
        return file.is_file()
    import urllib3  # see environment.http

    retries = urllib3.Retry(
        total=3, backoff_factor=0.3, status_forcelist=(429, 500, 502, 503, 504), raise_on_status=False, redirect=5
    )
    headers = urllib3.make_headers(basic_auth=f"{source.user}:{source.password or ''}") if source.user else None
    try:
        answer = connections(source.url).request(
            "GET", source.url + path, headers=headers, retries=retries, timeout=_timeout(), preload_content=False
        )
        try:
            if answer.status == 200:
                for chunk in answer.stream(_CHUNK):
                    into.write(chunk)
                return True
            answer.drain_conn()
        finally:
            answer.release_conn()
    except urllib3.exceptions.HTTPError as error:
        reason = "its certificate is not trusted" if "certificate" in str(error).lower() else "no answer"
        raise ServiceError(
            f"{reason} from the Maven repository at {source}",
            hint=f"check the network, or set {VARIABLES[0]} to a repository that can be reached",
        ) from None  # urllib3's own sentence repeats the whole address
    if answer.status in (401, 403, 407):
        raise ServiceError(
            f"the Maven repository at {source} rejects the credentials: HTTP {answer.status}",
            hint=f"put the credentials into the address in {VARIABLES[0]} or beside the mirror in ~/.m2/settings.xml",
        )
    if answer.status in (404, 410):
        return False
    raise ServiceError(f"the Maven repository at {source} answers HTTP {answer.status}", hint="try again later")


def _parse_list(text: str) -> list[str]:
    return [url.strip() for url in text.split(",") if url.strip()]


def _parse_repository(url: str, named_by: str) -> Repository:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https", "file"):
        raise UsageError(
            f"{named_by} is not an address of a Maven repository", hint='write "https://maven.example.com/repository"'
        )
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2], path=parts.path.rstrip("/") + "/")
    user, password = (unquote(text) if text else None for text in (parts.username, parts.password))
    return Repository(urlunsplit(bare), named_by, user, password)


def _mirror(settings: Path, environ: Mapping[str, str]) -> Repository | None:
    """The mirror of Central in the user's Maven settings, None when there is none."""
    try:
        root = ElementTree.fromstring(settings.read_bytes())
    except OSError:
        return None
    except ElementTree.ParseError as error:
        hint = f"correct it, or set {VARIABLES[0]} to the repository"
        raise UsageError(f"{settings} is not XML: {error}", hint=hint) from None

    def text(element: ElementTree.Element, name: str) -> str:
        found = element.findtext("{*}" + name) or ""
        return re.sub(r"\$\{env\.(\w+)\}", lambda match: environ.get(match[1], ""), found).strip()

    for mirror in root.iterfind("{*}mirrors/{*}mirror"):
        of = _parse_list(text(mirror, "mirrorOf"))
        if "!central" in of or not {"central", "*", "external:*"} & set(of):
            continue
        found = _parse_repository(text(mirror, "url"), "~/.m2/settings.xml")
        for server in root.iterfind("{*}servers/{*}server"):
            password = text(server, "password")
            # An encrypted password, {…}, can be read by Maven alone.
            if text(server, "id") == text(mirror, "id") and not re.fullmatch(r"\{.*\}", password):
                return found._replace(user=text(server, "username") or None, password=password)
        return found
    return None
