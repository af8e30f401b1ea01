"""Choose the files that a locked environment is installed from on a platform, and fetch them.

Of a package this machine takes one wheel, the first that its tags prefer; for a platform that is named, every wheel that suits it is
taken. Where none does, it is the source distribution, and then what that is built with. Each file's SHA-256 is one that repro.lock pins, and is checked as the bytes come in.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple
from urllib.parse import unquote, urlsplit, urlunsplit

import urllib3
from packaging.markers import Marker
from packaging.pylock import Package, PackageSdist, PackageWheel
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import parse_wheel_filename

from reprolock.environment.http import connections
from reprolock.environment.python.indexes import Indexes, read_indexes
from reprolock.environment.python.interpreters.find_python import Python, find_python
from reprolock.environment.python.resolving.export import look_up
from reprolock.environment.python.resolving.wheel_tags import PLATFORMS, meaning_of, suits_platform
from reprolock.environment.python.uv import Uv
from reprolock.errors import PinError, ServiceError, UsageError
from reprolock.files.object_cache import ObjectCache
from reprolock.model.content import Check, Content, Mismatch
from reprolock.model.lock import EnvironmentPin, PackagePin
from reprolock.model.python_version import feature_of

NAMES = dict(zip(("linux-x86_64", "linux-aarch64", "macos-arm64", "windows-x86_64"), PLATFORMS, strict=True))
"""How the platforms of a lock are named on the command line."""
_RETRIES = urllib3.Retry(total=3, backoff_factor=0.3, status_forcelist=(429, 500, 502, 503, 504), redirect=5)
_TIMEOUT = urllib3.Timeout(connect=15, read=60)
_CHUNK = 1 << 20


class PackageFile(NamedTuple):
    """One file of a package: its name, where the index has it, and the SHA-256 that is pinned."""

    package: str
    name: str
    url: str
    sha256: str


def choose_files(
    pin: EnvironmentPin,
    platforms: Sequence[str] = (),
    *,
    environ: Mapping[str, str] = os.environ,
    indexes: Indexes | None = None,
) -> list[PackageFile]:
    """The files for these platforms (names of `NAMES`; none: this machine), sorted by name.

    PinError where the index no longer has a pinned file, or none for a platform; UsageError for a package that comes from
    an address and no index; ServiceError when the index is down.
    """
    uv = Uv(environ, indexes=(indexes or read_indexes(environ)).for_pinned)
    with tempfile.TemporaryDirectory(prefix="reprolock-") as folder:
        targets: list[_Target] = [_Named(name, pin.python) for name in platforms]
        if not targets:
            targets = [_Here(find_python(pin.python, uv, Path(folder)))]
    chosen = _choose(pin.package, pin.requirements, pin.python, uv, targets)
    if any(not file.name.endswith(".whl") for file in chosen):
        chosen |= _choose(pin.build, (), pin.python, uv, targets)
    return sorted(chosen, key=lambda file: file.name)


def fetch_file(
    file: PackageFile, cache: ObjectCache, environ: Mapping[str, str], indexes: Indexes | None = None
) -> Content:
    """Bring a file into the cache, where it is not there yet. PinError for other bytes than are pinned, ServiceError where its
    address does not answer."""
    known = cache.note(_about(file))
    if known and cache.holds(content := Content("sha256", file.sha256, int(known))):
        return content
    draft = cache.draft()
    with tempfile.TemporaryFile() as scratch:
        _download(file, scratch, environ, indexes or read_indexes(environ))
        content = Content("sha256", file.sha256, scratch.tell())
        check = Check(content)
        scratch.seek(0)
        try:
            while data := scratch.read(_CHUNK):
                check.write(data)
                draft.write(data)
            check.finish()
        except Mismatch:
            draft.drop()
            raise PinError(
                f"{file.name} from the index is not the file that repro.lock pins",
                hint="ask the owner of the index",
            ) from None
        except BaseException:
            draft.drop()
            raise
    draft.keep(content)
    cache.write_note(_about(file), str(content.size).encode())
    return content


class _Here(NamedTuple):
    """This machine, under one Python."""

    python: Python

    @property
    def name(self) -> str:
        return "this machine"

    def takes(self, pin: PackagePin) -> bool:
        return pin.marker is None or Marker(pin.marker).evaluate(self.python.markers())

    def wheels(self, wheels: Iterable[PackageWheel]) -> list[PackageWheel]:
        major, minor = map(int, self.python.feature.split("."))
        order = [*cpython_tags((major, minor)), *compatible_tags((major, minor), f"cp{major}{minor}")]
        rank = {tag: number for number, tag in reversed(list(enumerate(order)))}
        found = [(min((rank[tag] for tag in _tags(wheel) if tag in rank), default=None), wheel) for wheel in wheels]
        usable = [(number, wheel) for number, wheel in found if number is not None]
        return [min(usable, key=lambda item: (item[0], item[1].filename))[1]] if usable else []


class _Named(NamedTuple):
    """A platform of the lock: every wheel that suits it, for its oldest system is not known."""

    name: str
    feature: str

    def takes(self, pin: PackagePin) -> bool:
        meaning = meaning_of(self.feature, NAMES[self.name])
        return pin.marker is None or Marker(pin.marker).evaluate(meaning)

    def wheels(self, wheels: Iterable[PackageWheel]) -> list[PackageWheel]:
        return [wheel for wheel in wheels if suits_platform(wheel.filename, feature_of(self.feature), NAMES[self.name])]


_Target = _Here | _Named


def _choose(
    pins: Sequence[PackagePin], declared: Sequence[str], python: str, uv: Uv, targets: Sequence[_Target]
) -> set[PackageFile]:
    wanted = [pin for pin in pins if any(target.takes(pin) for target in targets)]
    if not wanted:
        return set()
    found = {(str(package.name), str(package.version)): package for package in look_up(wanted, declared, python, uv)}
    return {
        file
        for target in targets
        for pin in wanted
        if target.takes(pin)
        for file in _files(pin, found.get((pin.name, pin.version)), target)
    }


def _files(pin: PackagePin, found: Package | None, target: _Target) -> Iterator[PackageFile]:
    if found is None or found.archive or found.vcs or found.directory:
        raise UsageError(
            f"{pin.name} comes from an address and not from an index: a bundle cannot hold it",
            hint="put it into an index, or into a folder that UV_FIND_LINKS names, and ask for it by its name",
        )
    wheels = [wheel for wheel in found.wheels or () if wheel.hashes.get("sha256") in pin.hashes]
    chosen: list[PackageWheel | PackageSdist] = [*target.wheels(wheels)]
    if not chosen and found.sdist is not None and found.sdist.hashes.get("sha256") in pin.hashes:
        chosen = [found.sdist]
    if not chosen:
        raise PinError(
            f"the index has no pinned file of {pin.name} {pin.version} for {target.name}",
            hint="name the index that has it in UV_INDEX, or another platform",
        )
    for file in chosen:
        yield PackageFile(pin.name, file.filename, file.url or "", file.hashes["sha256"])


def _tags(wheel: PackageWheel) -> frozenset[Tag]:
    return parse_wheel_filename(wheel.filename)[3]


def _about(file: PackageFile) -> bytes:
    return f"size of {file.sha256}".encode()


def _download(file: PackageFile, into: BinaryIO, environ: Mapping[str, str], indexes: Indexes) -> None:
    parts = urlsplit(file.url)
    try:
        if parts.scheme == "file":
            with open(urllib.request.url2pathname(parts.path), "rb") as source:
                return shutil.copyfileobj(source, into, _CHUNK)
        answer = connections(file.url).request(
            "GET",
            urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment="")),
            headers=_credentials(file.url, environ, indexes),
            retries=_RETRIES,
            timeout=_TIMEOUT,
            preload_content=False,
        )
        try:
            if answer.status == 200:
                for chunk in answer.stream(_CHUNK):
                    into.write(chunk)
                return None
            reason = f"HTTP {answer.status}"
        finally:
            answer.release_conn()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
    except urllib3.exceptions.HTTPError:
        reason = "no answer"
    raise ServiceError(
        f"{file.name} cannot be fetched from {parts.hostname or 'a folder'}: {reason}",
        hint="check the network and uv's own index settings (UV_DEFAULT_INDEX, UV_INDEX, uv.toml)",
    )


def _credentials(url: str, environ: Mapping[str, str], indexes: Indexes) -> dict[str, str] | None:
    """What this user's settings have for the very host of a file; credentials go to no other."""
    asked = urlsplit(url)
    named = " ".join(environ.get(name, "") for name in ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_EXTRA_INDEX_URL"))
    candidates = [(word.partition("=")[0] if "=" in word.partition("://")[0] else "", word) for word in named.split()]
    tables = indexes.settings.get("index", ())
    candidates += [(str(table.get("name", "")), str(table.get("url", ""))) for table in tables]
    for name, address in [("", url), *candidates]:
        parts = urlsplit(address.rpartition("=")[2] if name else address)
        if (parts.scheme, parts.hostname, parts.port) != (asked.scheme, asked.hostname, asked.port):
            continue
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        if name and not user:
            prefix = f"UV_INDEX_{''.join(char if char.isalnum() else '_' for char in name).upper()}"
            given = {**indexes.variables, **environ}
            user, password = given.get(f"{prefix}_USERNAME", ""), given.get(f"{prefix}_PASSWORD", "")
        if user:
            return dict(urllib3.make_headers(basic_auth=f"{user}:{password}"))
    return None
