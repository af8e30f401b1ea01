"""`SparkSpec`: what repro.toml's `[spark]` declares. Where Spark runs, its jars and its settings."""

from __future__ import annotations

import re
from pathlib import PurePath
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from reprolock.model.secrecy import is_secret_name
from reprolock.model.spec_rules import one_engine
from reprolock.model.spec_types import Settings, Strings, no_userinfo, refuse
from reprolock.model.value import Value, problem

CONNECT = "sc://"
"""How the address of a Spark Connect server starts."""
_TOKEN = "SPARK_CONNECT_AUTHENTICATE_TOKEN"


def is_connect(address: str | None) -> bool:
    """Whether Spark runs on a Connect server, by what a spec or a record names as its master."""
    return address is not None and address.startswith(CONNECT)


class SparkSpec(Value):
    """`[spark]`: the jars and settings of the command's Spark sessions."""

    master: str = Field(
        "local[*]",
        min_length=1,
        description="local[N], local[*] or spark://HOST:PORT; other masters run, and count as unlocked.",
    )
    remote: str | None = Field(
        None,
        description="sc://HOST:PORT, a Spark Connect server to use instead of a master; its Spark and its jars are not locked.",
    )
    server: str | None = Field(
        None,
        min_length=1,
        description="Version of the Connect server's Spark, where it is another than that of the locked pyspark.",
    )
    shared: Strings = Field(
        (), description="Folders, as absolute paths, that this machine and every executor see alike."
    )
    packages: Strings = Field((), description="Maven coordinates, GROUP:ARTIFACT:VERSION.")
    conf: Settings = Field({}, description="Settings for spark-defaults.conf.")

    @property
    def address(self) -> str:
        """The Connect server, or the master."""
        return self.remote or self.master

    @property
    def has_cluster(self) -> bool:
        """Whether executors are processes on other machines."""
        return not self.address.startswith("local")

    def sees(self, path: PurePath) -> bool:
        """Whether executors see an absolute path of this machine."""
        return not self.has_cluster or any(path.is_relative_to(folder) for folder in self.shared)

    def on(self, address: str) -> SparkSpec:
        """The same with another master or Connect server. ValidationError for an address of neither."""
        kept = {name: getattr(self, name) for name in self.model_fields_set - {"master", "remote", "server"}}
        return SparkSpec.model_validate({**kept, "remote" if is_connect(address) else "master": address})

    @field_validator("master")
    @classmethod
    def _no_server(cls, master: str) -> str:
        if is_connect(master):
            raise problem(f'"{master}" is a Spark Connect server; write remote = "{master}"')
        return master

    @field_validator("remote")
    @classmethod
    def _is_server(cls, remote: str | None) -> str | None:
        if remote is None:
            return None
        no_userinfo(remote)
        try:
            found = urlsplit(remote)
            host, _ = found.hostname, found.port
        except ValueError:  # a port that is no number
            host = None
        path, *given = found.path.lstrip("/").split(";") if host else ("",)
        if not is_connect(remote) or not host or path or found.query or found.fragment:
            raise problem(f'"{remote}" is not the address of a Spark Connect server; write "sc://HOST:PORT"')
        if any(is_secret_name(item.partition("=")[0]) for item in given):
            raise problem(f'a token must not be in a file; set {_TOKEN}, and write pass_env = ["{_TOKEN}"] in [run]')
        return remote

    @field_validator("shared")
    @classmethod
    def _absolute(cls, folders: tuple[str, ...]) -> tuple[str, ...]:
        refuse(
            [
                ((index,), f'"{text}" is not an absolute path; write "/mnt/data"')
                for index, text in enumerate(folders)
                if not PurePath(text).is_absolute() or ".." in PurePath(text).parts
            ]
        )
        return folders

    @field_validator("packages")
    @classmethod
    def _coordinates(cls, packages: tuple[str, ...]) -> tuple[str, ...]:
        refuse(
            [
                ((index,), f'"{text}" is not a Maven coordinate; write "GROUP:ARTIFACT:VERSION"')
                for index, text in enumerate(packages)
                if not re.fullmatch(r"[\w.-]+:[\w.-]+:[\w.-]+", text)
            ]
        )
        return packages

    @model_validator(mode="after")
    def _one_engine(self) -> SparkSpec:
        refuse(one_engine([name for name in self.model_fields_set if getattr(self, name) is not None]))
        return self
