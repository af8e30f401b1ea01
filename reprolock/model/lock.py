"""`Lock`: what repro.lock pins. A pure function of the spec and of what lake, Python and JVM answered.

Every pin repeats the declaration that it answers and carries a seal over both, so that staleness is
decided pin by pin, and a pin that was edited by hand is seen without a network.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, Strict, model_validator

from reprolock.model.digest import digest_of
from reprolock.model.glob import checked_glob
from reprolock.model.uri import LakeURI
from reprolock.model.value import Value

VERSION: Literal[1] = 1
"""The version of the file's format that this reprolock writes, and the newest that it reads."""

Hex64 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Strings = Annotated[tuple[str, ...], Strict(False)]
_MORE_THAN_IT_SAYS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\\]|\$\{")


def says_more(text: str) -> bool:
    """Whether a line of requirements would be more than that line to uv: its line end begins another one, which may be an option,
    and `${NAME}` is replaced by what this machine's environment has, and sent to the address that it stands in."""
    return _MORE_THAN_IT_SAYS.search(text) is not None


def _one_line(text: str) -> str:
    if says_more(text):
        raise ValueError("it would be more than one line of requirements")
    return text


RequirementText = Annotated[str, AfterValidator(_one_line)]


class Sealed(Value):
    """A value that carries a SHA-256 over all its other fields."""

    seal: Hex64 = Field(description="SHA-256 over all other fields: shows an edit by hand.")

    @classmethod
    def sealed(cls, **fields: Any) -> Self:
        """The value with its seal computed."""
        unsealed = cls.model_construct(**fields, seal="")
        return cls(**fields, seal=unsealed.expected_seal())

    def expected_seal(self) -> str:
        """The seal that the other fields ask for."""
        return digest_of(self.model_dump(exclude={"seal"}, exclude_none=True))

    @property
    def intact(self) -> bool:
        """False when a field, or the seal, was changed after reprolock wrote it."""
        return self.seal == self.expected_seal()


class DatasetPin(Sealed):
    """`[[dataset]]`: one dataset at one commit."""

    name: str = Field(description="The dataset's name in repro.toml.")
    kind: Literal["lakefs", "git"] = Field(description="The kind of lake that answered.")
    uri: str = Field(description="The address as declared.")
    glob: Annotated[str, AfterValidator(checked_glob)] | None = Field(None, description="The glob as declared.")
    commit: str = Field(pattern=r"^[0-9a-f]{40,64}$", description="The full commit ID.")
    time: datetime = Field(description="When the commit was made, UTC.")
    resolved: str = Field(description="The address at the commit.")
    objects: int = Field(ge=1, description="How many objects are under the address.")
    bytes: int = Field(ge=0, description="Their sizes, added up.")
    digest: str = Field(
        pattern=r"^[a-z0-9-]+:[0-9a-f]{64}$",
        description="SCHEME:SHA-256 over the sorted list of path, size and checksum; only equal schemes compare.",
    )

    @model_validator(mode="after")
    def _resolved_is_the_declared_place(self) -> DatasetPin:
        if LakeURI.parse(self.uri).at(self.commit) != LakeURI.parse(self.resolved):
            raise ValueError("resolved is not the declared address at the commit")
        return self

    @property
    def place(self) -> LakeURI:
        """The address at the commit, taken apart."""
        return LakeURI.parse(self.resolved)


class JarPin(Value):
    """`[[jar]]`: one file of the JVM's closure."""

    coordinate: str = Field(
        pattern=r"^[\w.-]+:[\w.-]+:[\w.-]+(?::[\w.-]+)?$", description="GROUP:ARTIFACT:VERSION, or with :CLASSIFIER."
    )
    sha256: Hex64 = Field(description="SHA-256 of the file.")
    bytes: int = Field(ge=1, description="The file's size.")

    @property
    def file_name(self) -> str:
        """GROUP_ARTIFACT-VERSION.jar, as Spark names what it resolves: two groups may have an artifact of one name."""
        group, artifact, *rest = self.coordinate.split(":")
        return f"{group}_{'-'.join([artifact, *rest])}.jar"


class JarsPin(Sealed):
    """`[jars]` and its `[[jar]]`s: the whole transitive set, sealed as one."""

    packages: Strings = Field(description="The coordinates as declared.")
    spark: str = Field(description="The version of Spark (and of pyspark) that the set was resolved for.")
    jar: Annotated[tuple[JarPin, ...], Strict(False)] = Field((), description="Every file of the set, by coordinate.")

    def brings(self, artifact: str) -> bool:
        """Whether a jar of this artifact is in the set, whatever its version and the Scala that it is for."""
        return any(re.match(rf"[^:]+:{re.escape(artifact)}(_[\d.]+)?:", jar.coordinate) for jar in self.jar)

    @property
    def reads_avro(self) -> bool:
        """Whether a reader of Avro is in the set, or in Spark itself, as since 4.2."""
        return self.brings("spark-avro") or tuple(map(int, re.findall(r"\d+", self.spark)[:2])) >= (4, 2)

    @property
    def bytes(self) -> int:
        """The files' sizes, added up."""
        return sum(jar.bytes for jar in self.jar)


class PackagePin(Value):
    """`[[package]]`: one Python package, for every platform."""

    name: str = Field(pattern=r"^[a-z0-9]+(?:-[a-z0-9]+)*$", description="The normalised name (PEP 503).")
    version: str = Field(pattern=r"^[\w.!+-]+$", description="The one version that was resolved.")
    marker: RequirementText | None = Field(None, description="Where it is installed (PEP 508); left out: everywhere.")
    source: Literal["sdist"] | None = Field(
        None, description='"sdist": some platform has no wheel, and builds one with what [[build]] pins.'
    )
    hashes: Strings = Field(min_length=1, description="SHA-256 of every file of this version that suits this Python.")

    @model_validator(mode="after")
    def _hashes_are_sha256(self) -> PackagePin:
        for value in self.hashes:
            if not re.fullmatch(r"[0-9a-f]{64}", value):
                raise ValueError(f'hash "{value[:80]}" of {self.name} is not a SHA-256')
        return self


class EnvironmentPin(Sealed):
    """`[environment]`, its `[[package]]`s and its `[[build]]`s: the universal resolution, sealed as one."""

    requirements: Annotated[tuple[RequirementText, ...], Strict(False)] = Field(
        description="The requirements as declared, one a line; `--hashes` is a digest over the hashes that a file gives."
    )
    python: str = Field(
        pattern=r"^3\.\d+(\.\d+)?$",
        description='Feature version, or an exact one where only that is accepted ("3.11.7").',
    )
    java: str | None = Field(None, pattern=r"^\d+$", description="Feature version; where Spark is used.")
    package: Annotated[tuple[PackagePin, ...], Strict(False)] = Field(
        (), description="Every package of the resolution, by name."
    )
    build: Annotated[tuple[PackagePin, ...], Strict(False)] = Field(
        (), description="What packages that have no wheel are built with, sdists' build requirements and all they need."
    )

    def version_of(self, name: str) -> str | None:
        """The version of a package that is pinned once, None when it is not pinned."""
        return next((package.version for package in self.package if package.name == name), None)


class Lock(Value):
    """The whole of repro.lock, sorted."""

    version: Literal[1] = Field(VERSION, description="Version of this format; a newer one is refused.")
    dataset: Annotated[tuple[DatasetPin, ...], Strict(False)] = Field(
        (), description="One for each [datasets.NAME], by name."
    )
    environment: EnvironmentPin | None = Field(
        None, description="Python and its packages, Java; left out where nothing of them is locked."
    )
    jars: JarsPin | None = Field(None, description="The jars of Spark; left out where there is no [spark].")

    @model_validator(mode="after")
    def _names_are_unique(self) -> Lock:
        names = [pin.name for pin in self.dataset]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f'dataset "{name}" is pinned twice')
        return self

    def dataset_pin(self, name: str) -> DatasetPin | None:
        """The pin of a dataset, None when it has none."""
        return next((pin for pin in self.dataset if pin.name == name), None)
