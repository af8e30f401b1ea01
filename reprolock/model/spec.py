"""`Spec`: what repro.toml declares, checked in one place, at construction.

In: the tables of a parsed TOML file. Out: a frozen `Spec`, or pydantic's ValidationError whose
errors name each key at fault; what finds several problems raises `SpecProblems`. Single values are checked by their types
in `spec_types`; rules over several keys are in `spec_rules`, and `spec_partial` asks them of a file whose other keys are at fault.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, Strict, field_validator, model_validator

from reprolock.model.glob import matches
from reprolock.model.periods import DURATION, days, seconds
from reprolock.model.placeholders import as_argument
from reprolock.model.python_version import accepts_python, is_python
from reprolock.model.secrecy import is_secret_name, looks_secret, signs
from reprolock.model.spec_rules import (
    SOURCES,
    Loc,
    Problems,
    Tables,
    consistent_output,
    declared_address,
    disagreements,
    one_source,
    with_samples,
)
from reprolock.model.spec_spark import SparkSpec
from reprolock.model.spec_types import (
    Address,
    Format,
    Identifier,
    ProjectPath,
    Settings,
    Strings,
    no_userinfo,
    refuse,
)
from reprolock.model.uri import LakeURI
from reprolock.model.value import Value, problem

_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Project(Value):
    """`[project]`."""

    name: str = Field(min_length=1, description="The project's name, and MLflow's experiment unless that is named.")


class LakeSpec(Value):
    """`[lake]`: where the data is kept. Left out: the endpoint that lakectl is configured with."""

    endpoint: Address | None = Field(None, description='"file:FOLDER" (embedded) or a lakeFS server\'s address.')

    @field_validator("endpoint")
    @classmethod
    def _kind(cls, endpoint: str | None) -> str | None:
        if endpoint is not None and not re.match(r"file:.|https?://.", endpoint):
            raise problem(f'"{endpoint}" is not a lake; write "file:lake" or "https://lakefs.example.com"')
        return endpoint

    @property
    def kind(self) -> Literal["lakefs", "git"]:
        """The kind of lake that is declared: a lakeFS server, or the embedded lake."""
        return "git" if self.endpoint and self.endpoint.startswith("file:") else "lakefs"


class DatasetSpec(Value):
    """`[datasets.NAME]`: an address in the lake, and how Spark reads it."""

    uri: str = Field(description="lakefs://REPOSITORY/REF/PATH; REF is a branch, tag or commit.")
    format: Format = Field(description="How the data is read.")
    options: Settings = Field({}, description="Handed to Spark's reader.")
    glob: str | None = Field(
        None,
        min_length=1,
        description='Only objects whose name matches, such as "*.csv" or "*.{csv,tsv}"; Hadoop\'s globs.',
    )
    context: str = Field("training", min_length=1, description="MLflow's context of the dataset.")

    @field_validator("glob")
    @classmethod
    def _is_glob(cls, glob: str | None) -> str | None:
        try:
            matches("", glob)
        except ValueError as error:
            raise problem(str(error)) from None
        return glob

    @field_validator("uri")
    @classmethod
    def _is_lake_uri(cls, uri: str) -> str:
        try:
            LakeURI.parse(no_userinfo(uri))
        except ValueError as error:
            raise problem(str(error)) from None
        return uri

    @property
    def place(self) -> LakeURI:
        """The declared address, taken apart."""
        return LakeURI.parse(self.uri)


class EnvironmentSpec(Value):
    """`[environment]`: Python, its packages, Java."""

    python: str | None = Field(
        None, description='A feature version ("3.11"), an exact one ("3.11.7") or a range (">=3.11,<3.13").'
    )
    packages: Strings | None = Field(None, description="Requirements (PEP 508).")
    requirements: ProjectPath | None = Field(None, description="A requirements file, instead of packages.")
    pyproject: str | None = Field(None, description="The folder of a pyproject.toml, instead of packages.")
    groups: Strings = Field((), description="Dependency groups of the pyproject.toml, beside its dependencies.")
    java: str | None = Field(
        None, pattern=r"^(?:>=|==)?\s*\d+$", description='Java\'s feature version: ">=17" or "17".'
    )
    isolated: bool = Field(
        True, description="false: run in the current interpreter; refused when it differs from the lock."
    )

    @field_validator("python")
    @classmethod
    def _is_python(cls, python: str | None) -> str | None:
        if python is not None and not is_python(python):
            raise problem(f'"{python}" is not a version of Python; write "3.11", "3.11.7" or ">=3.11,<3.13"')
        return python

    @model_validator(mode="after")
    def _one_source(self) -> EnvironmentSpec:
        refuse(one_source([name for name in SOURCES if getattr(self, name) is not None]))
        if self.groups and self.pyproject is None:
            refuse([(("groups",), 'groups are read from a pyproject.toml; write pyproject = "." as well')])
        return self

    @property
    def locks_python(self) -> bool:
        """Whether Python packages are declared at all."""
        return (self.packages, self.requirements, self.pyproject) != (None, None, None)

    def accepts_python(self, pinned: str) -> bool:
        """Whether `python` accepts a pinned version, which is a feature version or an exact one."""
        return self.python is None or accepts_python(self.python, pinned)

    def accepts_java(self, feature: str) -> bool:
        """Whether `java` (">=17", "==17", "17", or None for any) accepts a Java of this feature version."""
        if self.java is None:
            return True
        number = int(self.java.lstrip(">= "))
        return int(feature) >= number if self.java.startswith(">=") else int(feature) == number


def _no_signing_key(name: str) -> str:
    return f"{name} is for the key that signs a run's evidence, which a command must not get"


class RunSpec(Value):
    """`[run]`: the command, the code it needs and what it is given."""

    command: Annotated[tuple[str, ...], Strict(False)] = Field(
        min_length=1, description="A list of arguments, never a shell line; {params.NAME} and the like are filled in."
    )
    code: Annotated[tuple[ProjectPath, ...], Strict(False)] | None = Field(
        None,
        description="Files and folders the command needs. Default: what git tracks, and what is new and not ignored.",
    )
    seed: int | None = Field(None, description="Given as REPROLOCK_SEED and PYTHONHASHSEED (the latter modulo 2^32).")
    env: dict[str, str] = Field({}, description="Variables that are set; values are recorded.")
    pass_env: Strings = Field((), description="Variables that pass from the caller; names are recorded, values never.")
    timeout: str | None = Field(None, description='Such as "90s", "15m", "2h", "1d12h".')
    keep: str = Field(
        "7d",
        description='How long files that no output declares stay in the run\'s folder, such as "12h"; "0s": not at all.',
    )
    undeclared_reads: Literal["warn", "error"] = Field("warn", description="When Spark reads what no dataset declares.")

    @field_validator("command", mode="before")
    @classmethod
    def _no_shell_line(cls, command: Any) -> Any:
        if isinstance(command, str):
            raise problem(f"write a list of arguments, not a shell line: {command.split()!r}".replace("'", '"'))
        return command

    @field_validator("command")
    @classmethod
    def _no_keys(cls, command: tuple[str, ...]) -> tuple[str, ...]:
        sentence = "this is a secret, and arguments are shown in process lists; name its variable in run.pass_env"
        refuse([((index,), sentence) for index, argument in enumerate(command) if looks_secret(argument)])
        return command

    @field_validator("env")
    @classmethod
    def _variables(cls, env: dict[str, str]) -> dict[str, str]:
        problems: Problems = []
        for name, value in env.items():
            if not _ENV_NAME.fullmatch(name):
                problems.append(((name,), f'"{name}" is not a variable name'))
            elif signs(name):
                problems.append(((name,), _no_signing_key(name)))
            elif is_secret_name(name) or looks_secret(value):
                problems.append(
                    ((name,), f'{name} holds a secret, and a secret must not be in a file; write pass_env = ["{name}"]')
                )
        refuse(problems)
        return env

    @field_validator("pass_env")
    @classmethod
    def _names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        sentence = '"{}" is not a variable name; patterns are not taken'
        problems: Problems = []
        for index, name in enumerate(names):
            if not _ENV_NAME.fullmatch(name):
                problems.append(((index,), sentence.format(name)))
            elif signs(name):
                problems.append(((index,), _no_signing_key(name)))
        refuse(problems)
        return names

    @field_validator("timeout")
    @classmethod
    def _duration(cls, timeout: str | None) -> str | None:
        if timeout is not None and not seconds(timeout):
            raise problem(f'"{timeout}" is not a duration; write "90s", "15m", "2h" or "1d12h"')
        return timeout

    @field_validator("keep")
    @classmethod
    def _kept(cls, keep: str) -> str:
        if not keep or not DURATION.fullmatch(keep):
            raise problem(f'"{keep}" is not a duration; write "12h", "7d" or, to keep nothing, "0s"')
        return keep

    @property
    def timeout_seconds(self) -> int | None:
        """The time-out in seconds; None is none."""
        return seconds(self.timeout) if self.timeout else None


class OutputSpec(Value):
    """`[outputs.NAME]`: what the command writes, and how a replay compares it."""

    path: ProjectPath = Field(description="Relative to repro.toml.")
    compare: Literal["bytes", "table", "json", "none"] = Field("bytes", description="How replay compares it.")
    format: Format | None = Field(None, description='The format of a table; needed for compare = "table".')
    options: Settings = Field({}, description="Handed to Spark's reader of a table.")
    ignore: Strings = Field((), description="Columns of a table, or keys of a JSON document, that are not compared.")
    rel: float | None = Field(None, ge=0, lt=1, description="Relative tolerance of numbers.")
    abs: float | None = Field(None, ge=0, allow_inf_nan=False, description="Absolute tolerance of numbers.")
    publish: str | None = Field(
        None,
        description="lakefs://REPOSITORY/BRANCH/PATH that the output is published to. The path is the output's own: "
        "what stands there is replaced, but no folder by a file: at an address that ends with / it goes into the folder. {datasets.NAME.branch}, {params.NAME} and {run_id} are filled in.",
    )

    @field_validator("publish")
    @classmethod
    def _is_lake_uri(cls, uri: str | None) -> str | None:
        if uri is not None:
            try:
                place = LakeURI.parse(with_samples(no_userinfo(uri)))
            except ValueError as error:
                raise problem(str(error)) from None
            if not place.path:
                raise problem(
                    f'"{uri}" is a whole branch, which an output would replace; add a path of its own, such as "out/"'
                )
        return uri

    @model_validator(mode="after")
    def _consistent(self) -> OutputSpec:
        refuse(consistent_output(self.compare, [name for name, value in self if value not in (None, ())]))
        return self


class Tolerance(Value):
    """How far a metric may move: |a - b| <= max(rel * max(|a|, |b|), abs), as math.isclose."""

    rel: float = Field(0.0, ge=0, lt=1, description="Relative to the larger of the two values.")
    abs: float = Field(0.0, ge=0, allow_inf_nan=False, description="In the metric's own unit.")


def _tolerance(value: Any) -> Any:
    if isinstance(value, Tolerance):
        return value
    if value == "exact":
        return {}
    if not isinstance(value, dict) or not value:
        raise problem('write "exact", { rel = 1e-6 } or { abs = 0.01 }')
    return value


class MlflowSpec(Value):
    """`[mlflow]`."""

    tracking_uri: Address | None = Field(None, description="Default: MLFLOW_TRACKING_URI, else sqlite:///mlflow.db.")
    experiment: str | None = Field(None, min_length=1, description="Default: project.name.")


class EvidenceSpec(Value):
    """`[evidence]`: what a run leaves for those who check it with a public key."""

    sign: bool = Field(False, description="true: a run without a signing key is refused before anything starts.")
    hold: str | None = Field(
        None, description='How long pinned commits are held in the lake: "10y", "90d"; left out: not at all.'
    )
    timestamp: Address | None = Field(None, description="An RFC 3161 time-stamping authority: its http(s) address.")

    @field_validator("hold")
    @classmethod
    def _is_a_period(cls, period: str | None) -> str | None:
        if period is not None and not days(period):
            raise problem(f'"{period}" is not a period; write "10y", "26w" or "90d"')
        return period

    @field_validator("timestamp")
    @classmethod
    def _is_an_address(cls, address: str | None) -> str | None:
        if address is not None and not re.match(r"https?://[^/]", address):
            raise problem(f'"{address}" is not an http(s) address of a time-stamping authority')
        return address


class Spec(Value):
    """The whole of repro.toml."""

    project: Project = Field(description="What the project is called.")
    lake: LakeSpec = Field(LakeSpec(), description="Where the data is kept.")
    datasets: dict[Identifier, DatasetSpec] = Field({}, description="The inputs, by names that are identifiers.")
    params: dict[str, Any] = Field({}, description="Any TOML values.")
    environment: EnvironmentSpec = Field(
        EnvironmentSpec(), description="Python, its packages, Java; what is not declared is not locked."
    )
    spark: SparkSpec | None = Field(None, description="Spark for the command; left out: none.")
    run: RunSpec = Field(description="The command and what it is given.")
    outputs: dict[Identifier, OutputSpec] = Field(
        {}, description="What the command writes, by names that are identifiers."
    )
    metrics: dict[
        str, Annotated[Tolerance, BeforeValidator(_tolerance, json_schema_input_type=Literal["exact"] | Tolerance)]
    ] = Field({}, description='Only these decide a verdict: "exact", or { rel = 1e-6 }, or { abs = 0.01 }.')
    mlflow: MlflowSpec = Field(MlflowSpec(), description="Where runs are recorded.")
    evidence: EvidenceSpec = Field(EvidenceSpec(), description="Signatures, time stamps and holds.")

    @field_validator("params")
    @classmethod
    def _no_keys(cls, params: dict[str, Any]) -> dict[str, Any]:
        sentence = "this is a secret, and a secret must not be in a file; name its variable in run.pass_env"
        refuse([((name,), sentence) for name, value in params.items() if looks_secret(as_argument(value))])
        return params

    @model_validator(mode="after")
    def _tables_agree(self) -> Spec:
        texts: list[tuple[Loc, str]] = [
            (("run", "command", index), text) for index, text in enumerate(self.run.command)
        ]
        texts += [(("run", "env", name), text) for name, text in self.run.env.items()]
        paths = {name: output.path for name, output in self.outputs.items()}
        addresses: tuple[tuple[Loc, str], ...] = tuple(
            (("outputs", name, "publish"), output.publish) for name, output in self.outputs.items() if output.publish
        )
        refuse(
            disagreements(
                Tables(
                    paths=paths,
                    published=self.published,
                    code=self.run.code or (),
                    endpoint=self.lake.endpoint,
                    texts=tuple(texts),
                    names=self.placeholder_names(),
                    addresses=addresses,
                )
            )
        )
        return self

    def placeholder_names(self) -> dict[str, Any]:
        """What a placeholder may name; the values of datasets and outputs are known when a run is built."""
        place = {"url": "", "path": ""}
        names: dict[str, Any] = {
            "params": self.params,
            "datasets": {name: place for name in self.datasets},
            "outputs": {name: place for name in self.outputs},
        }
        if self.run.seed is not None:
            names["seed"] = self.run.seed
        return names

    @property
    def uses_gateway(self) -> bool:
        """Whether Spark reads from, or writes to, a lakeFS server."""
        return self.lake.kind == "lakefs" and bool(self.datasets or self.published)

    @property
    def published(self) -> dict[str, LakeURI]:
        """Where outputs are published, by their names; placeholders stand in it as they were declared."""
        return {name: declared_address(output.publish) for name, output in self.outputs.items() if output.publish}

    @property
    def rules(self) -> dict[str, dict[str, Any]]:
        """How a replay compares: `outputs.NAME` and `metrics.NAME`, with what is declared of each."""
        how = {"compare", "format", "options", "ignore", "rel", "abs"}
        outputs = {
            f"outputs.{name}": output.model_dump(mode="json", include=how) for name, output in self.outputs.items()
        }
        return outputs | {f"metrics.{name}": tolerance.model_dump() for name, tolerance in self.metrics.items()}

    @property
    def experiment(self) -> str:
        """MLflow's experiment."""
        return self.mlflow.experiment or self.project.name
