"""`Spec`: what repro.toml declares, checked in one place, at construction.

In: the tables of a parsed TOML file. Out: a frozen `Spec`, or pydantic's ValidationError whose
errors name each key at fault; rules across tables raise `SpecFaults`, which carries several.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import combinations
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, Strict, field_validator, model_validator
from pydantic_core import PydanticCustomError

from reprolock.model.placeholders import as_argument, lookup, names_in
from reprolock.model.secrecy import has_userinfo, is_secret_name, looks_secret
from reprolock.model.uri import LakeURI, check_path, is_under
from reprolock.model.value import Value

Scalar = str | bool | int | float
Strings = Annotated[tuple[str, ...], Strict(False)]
Format = Literal["delta", "parquet", "csv", "json", "orc", "avro", "text", "binary", "image"]

OWN_FILES = ("repro.toml", "repro.lock", ".reprolock")
"""Paths in a project that are reprolock's: never code, never an output."""

_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def fault(message: str, *loc: str | int) -> PydanticCustomError:
    """One fault of the spec, `loc` deeper than where the validator stands."""
    return PydanticCustomError("spec", "{message}", {"message": message, "loc": loc})


class SpecFaults(ValueError):
    """Several faults found across tables: pairs of a key's path and a sentence."""

    def __init__(self, faults: list[tuple[tuple[str | int, ...], str]]) -> None:
        super().__init__("; ".join(sentence for _, sentence in faults))
        self.faults = faults


def _no_userinfo(address: str) -> str:
    if has_userinfo(address) or looks_secret(address):
        raise fault("an address must not carry a user name or key; keys come from the environment")
    return address


def _no_secret(text: str) -> str:
    if looks_secret(text):
        raise fault("this is a key, and a key must not stand in a file; name its variable in run.pass_env")
    return text


def _project_path(path: str) -> str:
    try:
        check_path(path)
    except ValueError as error:
        raise fault(str(error).replace("a path in a lake is relative to its repository", "write it relative to repro.toml"))
    path = path.removeprefix("./").rstrip("/")
    if not path:
        raise fault("an empty path; name a file or folder below repro.toml")
    return path


def _settings(table: Mapping[str, Any]) -> dict[str, str]:
    """Spark's options and settings are text: true, 8 and "8" are what a user may write."""
    if not isinstance(table, Mapping):
        return table
    for name, value in table.items():
        if is_secret_name(name):
            raise fault(f'"{name}" holds a key, and a key must not stand in a file; keys come from the environment', name)
        if isinstance(value, (dict, list)):
            raise fault("write text, a number, true or false", name)
        if looks_secret(str(value)):
            raise fault("this is a key, and a key must not stand in a file; keys come from the environment", name)
    return {name: as_argument(value) for name, value in table.items()}


def _identifier(name: str) -> str:
    if not (name.isascii() and name.isidentifier()):
        text = re.sub(r"\W", "_", name, flags=re.ASCII)
        better = text if text[:1].isidentifier() else f"_{text}"
        raise fault(f'"{name}" is no identifier; write letters, digits and "_", such as "{better}"')
    return name


Address = Annotated[str, BeforeValidator(lambda v: _no_userinfo(v) if isinstance(v, str) else v)]
ProjectPath = Annotated[str, BeforeValidator(lambda v: _project_path(v) if isinstance(v, str) else v)]
Settings = Annotated[dict[str, str], BeforeValidator(_settings, json_schema_input_type=dict[str, Scalar])]
Identifier = Annotated[str, AfterValidator(_identifier)]


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
            raise fault(f'"{endpoint}" is no lake; write "file:lake" or "https://lakefs.example.com"')
        return endpoint


class DatasetSpec(Value):
    """`[datasets.NAME]`: a place in the lake, and how Spark reads it."""

    uri: str = Field(description="lakefs://REPOSITORY/REF/PATH; REF is a branch, tag or commit.")
    format: Format = Field(description="How the data is read.")
    options: Settings = Field({}, description="Handed to Spark's reader.")
    glob: str | None = Field(None, min_length=1, description='Only objects whose name matches, such as "*.csv".')
    context: str = Field("training", min_length=1, description="MLflow's context of the dataset.")

    @field_validator("uri")
    @classmethod
    def _is_lake_uri(cls, uri: str) -> str:
        try:
            LakeURI.parse(_no_userinfo(uri))
        except ValueError as error:
            raise fault(str(error))
        return uri

    @property
    def place(self) -> LakeURI:
        """The declared address, taken apart."""
        return LakeURI.parse(self.uri)


class EnvironmentSpec(Value):
    """`[environment]`: Python, its packages, Java."""

    python: str | None = Field(None, pattern=r"^3\.\d+$", description='Feature version, such as "3.11".')
    packages: Strings | None = Field(None, description="Requirements (PEP 508).")
    requirements: ProjectPath | None = Field(None, description="A requirements file, instead of packages.")
    pyproject: str | None = Field(None, description="The folder of a pyproject.toml, instead of packages.")
    java: str | None = Field(None, pattern=r"^(?:>=|==)?\s*\d+$", description='Java\'s feature version: ">=17" or "17".')
    isolated: bool = Field(True, description="false: run in the current interpreter, refused when it drifts.")

    @model_validator(mode="after")
    def _one_source(self) -> EnvironmentSpec:
        given = [name for name in ("packages", "requirements", "pyproject") if getattr(self, name) is not None]
        if len(given) > 1:
            raise fault(f"{' and '.join(given)} exclude one another; keep one", given[-1])
        return self

    @property
    def locks_python(self) -> bool:
        """Whether Python packages are declared at all."""
        return (self.packages, self.requirements, self.pyproject) != (None, None, None)


class SparkSpec(Value):
    """`[spark]`: the jars and settings of the command's Spark sessions."""

    master: str = Field("local[*]", min_length=1, description="local[N], local[*], spark://…; others run, unlocked.")
    packages: Strings = Field((), description="Maven coordinates, GROUP:ARTIFACT:VERSION.")
    conf: Settings = Field({}, description="Settings for spark-defaults.conf.")

    @field_validator("packages")
    @classmethod
    def _coordinates(cls, packages: tuple[str, ...]) -> tuple[str, ...]:
        for index, text in enumerate(packages):
            if not re.fullmatch(r"[\w.-]+:[\w.-]+:[\w.-]+", text):
                raise fault(f'"{text}" is no Maven coordinate; write "GROUP:ARTIFACT:VERSION"', index)
        return packages


class RunSpec(Value):
    """`[run]`: the command, the code it needs and what it is given."""

    command: Annotated[tuple[str, ...], Strict(False)] = Field(
        min_length=1, description="A list of arguments, never a shell line; {params.NAME} and the like are filled in."
    )
    code: Annotated[tuple[ProjectPath, ...], Strict(False)] | None = Field(
        None, description="Files and folders the command needs. Default: what git tracks, and what is new and not ignored."
    )
    seed: int | None = Field(None, description="Given as REPROLOCK_SEED and PYTHONHASHSEED (the latter modulo 2^32).")
    env: dict[str, str] = Field({}, description="Variables that are set; values are recorded.")
    pass_env: Strings = Field((), description="Variables that pass from the caller; names are recorded, values never.")
    timeout: str | None = Field(None, description='Such as "90s", "15m", "2h", "1d12h".')
    undeclared_reads: Literal["warn", "error"] = Field("warn", description="When Spark reads what no dataset declares.")

    @field_validator("command", mode="before")
    @classmethod
    def _no_shell_line(cls, command: Any) -> Any:
        if isinstance(command, str):
            raise fault(f"write a list of arguments, not a shell line: {command.split()!r}".replace("'", '"'))
        return command

    @field_validator("command")
    @classmethod
    def _no_keys(cls, command: tuple[str, ...]) -> tuple[str, ...]:
        for index, argument in enumerate(command):
            if looks_secret(argument):
                raise fault("this is a key, and arguments stand in process lists; name its variable in run.pass_env", index)
        return command

    @field_validator("env")
    @classmethod
    def _variables(cls, env: dict[str, str]) -> dict[str, str]:
        for name, value in env.items():
            if not _ENV_NAME.fullmatch(name):
                raise fault(f'"{name}" is no name of a variable', name)
            if is_secret_name(name) or looks_secret(value):
                raise fault(f"{name} holds a key, and a key must not stand in a file; write pass_env = [\"{name}\"]", name)
        return env

    @field_validator("pass_env")
    @classmethod
    def _names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for index, name in enumerate(names):
            if not _ENV_NAME.fullmatch(name):
                raise fault(f'"{name}" is no name of a variable; patterns are not taken', index)
        return names

    @field_validator("timeout")
    @classmethod
    def _duration(cls, timeout: str | None) -> str | None:
        if timeout is not None and not seconds(timeout):
            raise fault(f'"{timeout}" is no duration; write "90s", "15m", "2h" or "1d12h"')
        return timeout

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
        description="lakefs://REPOSITORY/BRANCH/PATH that the output is published to. The place is the output's own: "
        "what stands there is replaced.",
    )

    @field_validator("publish")
    @classmethod
    def _is_lake_uri(cls, uri: str | None) -> str | None:
        if uri is not None:
            try:
                place = LakeURI.parse(_no_userinfo(uri))
            except ValueError as error:
                raise fault(str(error))
            if not place.path:
                raise fault(f'"{uri}" is a whole branch, which an output would replace; add a path of its own, such as "out/"')
        return uri

    @model_validator(mode="after")
    def _consistent(self) -> OutputSpec:
        if self.compare == "table" and self.format is None:
            raise fault('compare = "table" needs format, such as format = "parquet"', "compare")
        if self.compare not in ("table", "json"):
            for name in ("ignore", "rel", "abs"):
                if getattr(self, name) not in (None, ()):
                    raise fault(f'{name} goes with compare = "table" or "json"', name)
        return self


class Tolerance(Value):
    """How far a metric may move: |a - b| <= max(rel * max(|a|, |b|), abs), as math.isclose."""

    rel: float = Field(0.0, ge=0, lt=1)
    abs: float = Field(0.0, ge=0, allow_inf_nan=False)

    @property
    def exact(self) -> bool:
        """True when nothing may move."""
        return self.rel == self.abs == 0


def _tolerance(value: Any) -> Any:
    if value == "exact":
        return {}
    if not isinstance(value, dict) or not value:
        raise fault('write "exact", { rel = 1e-6 } or { abs = 0.01 }')
    return value


class MlflowSpec(Value):
    """`[mlflow]`."""

    tracking_uri: Address | None = Field(None, description="Default: MLFLOW_TRACKING_URI, else sqlite:///mlflow.db.")
    experiment: str | None = Field(None, min_length=1, description="Default: project.name.")


class Spec(Value):
    """The whole of repro.toml."""

    project: Project
    lake: LakeSpec = LakeSpec()
    datasets: dict[Identifier, DatasetSpec] = {}
    params: dict[str, Any] = Field({}, description="Any TOML values.")
    environment: EnvironmentSpec = EnvironmentSpec()
    spark: SparkSpec | None = None
    run: RunSpec
    outputs: dict[Identifier, OutputSpec] = {}
    metrics: dict[str, Annotated[Tolerance, BeforeValidator(_tolerance, json_schema_input_type=Literal["exact"] | Tolerance)]] = Field(
        {}, description='Only these decide a verdict: "exact", or { rel = 1e-6 }, or { abs = 0.01 }.'
    )
    mlflow: MlflowSpec = MlflowSpec()

    @field_validator("params")
    @classmethod
    def _no_keys(cls, params: dict[str, Any]) -> dict[str, Any]:
        for name, value in params.items():
            if looks_secret(as_argument(value)):
                raise fault("this is a key, and a key must not stand in a file; name its variable in run.pass_env", name)
        return params

    @model_validator(mode="after")
    def _tables_agree(self) -> Spec:
        faults = [*self._overlaps(), *self._unknown_placeholders()]
        if faults:
            raise SpecFaults(faults)
        return self

    def _overlaps(self) -> list[tuple[tuple[str | int, ...], str]]:
        taken = [(path, f'"{path}", which is reprolock\'s own') for path in OWN_FILES]
        taken += [(path.rstrip("/"), f'the code "{path}" (run.code)') for path in self.run.code or ()]
        if self.lake.endpoint and self.lake.endpoint.startswith("file:"):
            folder = self.lake.endpoint[5:].removeprefix("./").rstrip("/")
            taken.append((folder, f'the lake "{folder}" (lake.endpoint)'))
        faults = []
        for name, output in self.outputs.items():
            for path, whose in taken:
                if is_under(output.path, path) or is_under(path, output.path):
                    sentence = f'"{output.path}" overlaps {whose}; give the output a folder of its own, such as "out/{name}"'
                    faults.append((("outputs", name, "path"), sentence))
            taken.append((output.path, f'the output "{output.path}" (outputs.{name}.path)'))
        for (one, first), (other, second) in combinations(self.published.items(), 2):
            if first[:2] == second[:2] and (is_under(first.path, second.path) or is_under(second.path, first.path)):
                sentence = f'"{second}" overlaps "{first}" (outputs.{one}.publish); each replaces what stands at its place'
                faults.append((("outputs", other, "publish"), sentence))
        return faults

    def _unknown_placeholders(self) -> list[tuple[tuple[str | int, ...], str]]:
        texts = [(("run", "command", index), text) for index, text in enumerate(self.run.command)]
        texts += [(("run", "env", name), text) for name, text in self.run.env.items()]
        known = self.placeholder_names()
        faults = []
        for loc, text in texts:
            for name in names_in(text):
                try:
                    whole = isinstance(lookup(name, known), Mapping) and not name.startswith("params.")
                except KeyError:
                    whole = True
                if whole:
                    faults.append((loc, f"{{{name}}} names nothing: {_declared(name, known)}"))
        return faults

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
    def published(self) -> dict[str, LakeURI]:
        """Where outputs are published, by their names."""
        return {name: LakeURI.parse(output.publish) for name, output in self.outputs.items() if output.publish}

    @property
    def rules(self) -> dict[str, dict[str, Any]]:
        """How a replay compares: `outputs.NAME` and `metrics.NAME`, with what is declared of each."""
        how = {"compare", "format", "options", "ignore", "rel", "abs"}
        outputs = {f"outputs.{name}": output.model_dump(mode="json", include=how) for name, output in self.outputs.items()}
        return outputs | {f"metrics.{name}": tolerance.model_dump() for name, tolerance in self.metrics.items()}

    @property
    def experiment(self) -> str:
        """MLflow's experiment."""
        return self.mlflow.experiment or self.project.name


def seconds(duration: str) -> int:
    """`1d12h` in seconds; 0 for what is no duration."""
    match = _DURATION.fullmatch(duration)
    if not match or not duration:
        return 0
    days, hours, minutes, secs = (int(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + secs


def _declared(name: str, known: Mapping[str, Any]) -> str:
    root, _, rest = name.partition(".")
    if root == "seed":
        return "run.seed is not set" if not rest else "write {seed}"
    table = known[root]
    child = rest.partition(".")[0]
    if root != "params" and child in table:
        return f"write {{{root}.{child}.path}} or {{{root}.{child}.url}}"
    return f"[{root}] declares {', '.join(sorted(table))}" if table else f"[{root}] is empty"
