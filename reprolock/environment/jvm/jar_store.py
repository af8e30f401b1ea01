"""`JarStore`: a folder of jars, each in a folder named by its SHA-256.

    ab/abcdef…/io.delta_delta-spark_4.2_2.13-4.4.0.jar    mode 0444

A jar is hashed each time it is asked for: all that Spark is given are some 100 MB, which takes 0.1 s, and no
size and no time vouches for bytes. A jar appears by a rename, so several processes may fill one store.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO, Protocol
from zipfile import is_zipfile

from reprolock.environment.jvm.maven import Repository, central, fetch, path_of
from reprolock.errors import PinError, ServiceError, UsageError
from reprolock.files.os_errors import cannot_read, cannot_write
from reprolock.model.lock import JarPin, JarsPin

_AT_ONCE = 8


class Progress(Protocol):
    """Told by one thread how far the fetching is; not told anything when no jar is missing."""

    def expect(self, objects: int, bytes: int) -> None: ...

    def advance(self, objects: int, bytes: int) -> None: ...


class JarStore:
    """Jars by content, and the repositories that fill it. Nothing is made before a jar is added."""

    def __init__(self, folder: Path, sources: Sequence[Repository] | None = None) -> None:
        """`sources`: the repositories to fetch from; None: Maven Central."""
        self.folder = folder
        self.sources = (central(),) if sources is None else tuple(sources)

    def path(self, jar: JarPin) -> Path:
        """Where the jar stands, or would stand."""
        return self.folder / jar.sha256[:2] / jar.sha256 / jar.file_name

    def add(self, coordinate: str, file: Path) -> JarPin:
        """Copy a file into the store and pin it. MachineError where the store cannot be written."""
        try:
            with file.open("rb") as source:
                sha256 = hashlib.file_digest(source, "sha256").hexdigest()
        except OSError as error:
            raise cannot_read(file, error) from error
        jar = JarPin(coordinate=coordinate, sha256=sha256, bytes=file.stat().st_size)
        if not self._holds(jar):
            with file.open("rb") as source:
                self._keep(jar, lambda into: shutil.copyfileobj(source, into), "Ivy's cache")
        return jar

    def take(self, coordinate: str, *, offline: bool = False) -> JarPin:
        """Pin one jar by its coordinate, of which it is known that it needs no other: the store's, else a repository's.

        UsageError (exit 2) when no repository has it, ServiceError (exit 5) when one does not answer, or the jar
        is not in the store and `offline`.
        """
        name = JarPin(coordinate=coordinate, sha256="0" * 64, bytes=1).file_name
        for stored in sorted(self.folder.glob(f"*/*/{name}")):
            jar = JarPin(coordinate=coordinate, sha256=stored.parent.name, bytes=stored.stat().st_size)
            if self._holds(jar):
                return jar
        if offline:
            raise ServiceError(
                f'"{coordinate}" is not in the store, and --offline does not download it',
                hint="run once without --offline",
            )
        with TemporaryDirectory() as scratch:
            file = Path(scratch) / name
            with file.open("xb") as into:
                if fetch(self.sources, path_of(coordinate), into) is None:
                    asked = ", ".join(str(source) for source in self.sources)
                    raise UsageError(
                        f'"{coordinate}" is in no repository: asked {asked}',
                        hint="reprolock adds this jar to every Spark run; mirror it in your Maven repository",
                    )
            if not is_zipfile(file):  # a proxy's error page that came with status 200
                raise ServiceError(
                    f"{coordinate} was downloaded, but is not a jar",
                    hint="ask the owner of the repository, and try again",
                )
            return self.add(coordinate, file)

    def files(self, pin: JarsPin, *, offline: bool = False, progress: Progress | None = None) -> tuple[Path, ...]:
        """Every jar of the pin, its bytes checked, in the pin's order; what is not here yet is fetched.

        PinError (exit 4) names a jar whose bytes are not those of its pin, in the store or as fetched,
        or that no repository has any more. ServiceError (exit 5) when a repository does not answer, or
        a jar is missing and `offline`. MachineError (exit 8) when the store cannot be written.
        """
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            missing = [jar for jar, held in zip(pin.jar, pool.map(self._holds, pin.jar), strict=True) if not held]
        if missing and offline:
            more = f" and {len(missing) - 1} more are" if len(missing) > 1 else " is"
            raise ServiceError(
                f"jar {missing[0].coordinate}{more} not in the store at {self.folder}, and --offline does not download it",
                hint="run once without --offline",
            )
        if missing:
            self._fetch_all(missing, progress)
        return tuple(self.path(jar) for jar in pin.jar)

    def _holds(self, jar: JarPin) -> bool:
        """Whether the jar is here; PinError where its bytes are not those of its pin."""
        path = self.path(jar)
        try:
            with path.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise cannot_read(path, error) from error
        if sha256 != jar.sha256:
            raise PinError(
                f"jar {jar.coordinate} in the store has changed: SHA-256 {sha256[:12]}, pinned {jar.sha256[:12]}",
                hint=f"delete {path} and run again to download it again",
            )
        return True

    def _fetch_all(self, jars: Sequence[JarPin], progress: Progress | None) -> None:
        if progress is not None:
            progress.expect(len(jars), sum(jar.bytes for jar in jars))
        pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="jars")
        try:
            fetched = {pool.submit(self._fetch, jar): jar for jar in jars}
            for future in as_completed(fetched):
                future.result()
                if progress is not None:
                    progress.advance(1, fetched[future].bytes)
        finally:
            pool.shutdown(cancel_futures=True)

    def _fetch(self, jar: JarPin) -> None:
        def fill(into: BinaryIO) -> None:
            if fetch(self.sources, path_of(jar.coordinate), into) is None:
                asked = ", ".join(str(source) for source in self.sources)
                raise PinError(
                    f"jar {jar.coordinate} is gone: {asked} has no such file",
                    hint="set REPROLOCK_MAVEN_REPOSITORY to a repository that has it",
                    owner_hint="`reprolock lock --upgrade` pins another set",
                )

        self._keep(jar, fill, "its repository")

    def _keep(self, jar: JarPin, fill: Callable[[BinaryIO], object], whence: str) -> None:
        """Let `fill` write a temporary file, and give it its place if it holds the pinned bytes."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(self.folder, error) from error
        path = self.path(jar)
        temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("xb+") as file:
                fill(file)
                file.flush()
                file.seek(0)
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
                if sha256 != jar.sha256:
                    raise PinError(
                        f"jar {jar.coordinate} from {whence} is not the pinned file: "
                        f"SHA-256 {sha256[:12]}, pinned {jar.sha256[:12]}",
                        hint="ask the owner of the repository",
                        owner_hint="`reprolock lock --upgrade` pins what it has now",
                    )
                os.fsync(file.fileno())
            temporary.chmod(0o444)
            os.replace(temporary, path)
        except OSError as error:
            raise cannot_write(path, error) from error
        finally:
            with suppress(OSError):
                temporary.unlink()
            with suppress(OSError):
                path.parent.rmdir()  # stays where a jar is in it
