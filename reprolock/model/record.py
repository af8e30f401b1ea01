"""`Record`: record.json, the one truth about a run. Tags and tables elsewhere repeat it for search.

Logged when a run starts (status RUNNING) and again when it has ended. The schema in schemas/ is made
from this module; each field says what it means and where it comes from.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import NAMESPACE_URL, UUID, uuid5

from pydantic import AfterValidator, AwareDatetime, Field, Strict, WithJsonSchema

from reprolock.model.digest import digest_of
from reprolock.model.lineage import Lineage
from reprolock.model.spark_schema import Column
from reprolock.model.table import TableDigest
from reprolock.model.uri import LakeURI
from reprolock.model.value import Value, problem
from reprolock.model.workspace import Mode

Strings = Annotated[tuple[str, ...], Strict(False)]


def _lake_address(text: str) -> str:
    try:
        LakeURI.parse(text)
    except ValueError as error:
        raise problem(str(error)) from None
    return text


LakeAddress = Annotated[str, AfterValidator(_lake_address)]
"""`lakefs://REPOSITORY/REF/PATH`, as it was written."""
Measured = Annotated[
    float, Strict(False), WithJsonSchema({"anyOf": [{"type": "number"}, {"enum": ["NaN", "Infinity", "-Infinity"]}]})
]
"""A metric. A diverged loss is a result too, and JSON has no NaN: it is written by its name."""


def run_uuid(run_id: str) -> str:
    """MLflow's run IDs are UUIDs without dashes; any other text gets one of its own, always the same."""
    try:
        return str(UUID(hex=run_id))
    except ValueError:
        return str(uuid5(NAMESPACE_URL, f"urn:reprolock:run:{run_id}"))


class DatasetRecord(Value):
    """One input, as pinned and as given to the command."""

    name: str = Field(description="Name in repro.toml.")
    kind: Literal["lakefs", "git"] = Field(description="Kind of lake.")
    uri: LakeAddress = Field(description="Address as declared.")
    resolved: LakeAddress = Field(description="Address at the commit.")
    commit: str = Field(description="Full commit ID.")
    commit_time: datetime = Field(description="When the commit was made, UTC.")
    objects: int = Field(description="Objects under the address at the commit.")
    bytes: int = Field(description="Their sizes, added up.")
    digest: str = Field(description="SCHEME:SHA-256 over path, size and checksum of every object.")
    glob: str | None = Field(None, description="Glob as declared.")
    format: str = Field(description="Format as declared.")
    options: dict[str, str] = Field({}, description="Options of Spark's reader, as declared.")
    context: str = Field(description="MLflow's context of the dataset.")
    url: str = Field(description="What the command read: s3a://… at the commit, or the local tree.")
    columns: Annotated[tuple[Column, ...], Strict(False)] | None = Field(
        None,
        description="Fields of the schema, as Spark's schema JSON writes them; columns of folder names (`day=1/`) are not among them. None: not known without reading all.",
    )
    rows: int | None = Field(
        None,
        description="Rows, as footers (Parquet and ORC, of up to 100 files) or Delta's log add up to. None: not known without reading all.",
    )
    unverified: int | None = Field(
        None,
        description="Objects that were copied for this run and checked by their size alone: their checksum cannot be computed. None: none.",
    )
    sha256: dict[str, str] = Field(
        {}, description="Path in the repository → SHA-256 of each of these objects, as the command was given it."
    )
    copied: bool = Field(
        False,
        description="True: all objects were copied for this run, and `sha256` has each that its checksum does not decide. False: read in place, in part, or not known.",
    )
    table_version: int | None = Field(None, description="Version of a Delta table at the commit.")
    what_if: bool = Field(False, description="True when --data named it for this run only; then repro.lock differs.")


class CodeRecord(Value):
    """The code that ran; its tree is the artifact reprolock/code.tar.gz."""

    digest: str = Field(description="SHA-256 over path, mode and SHA-256 of every file.")
    tree: dict[str, str] = Field({}, description="Path → MODE:SHA-256 of every file, modes as git writes them.")
    files: int = Field(description="How many files there are.")
    bytes: int = Field(description="Their sizes, added up.")
    commit: str | None = Field(None, description="HEAD of the project's git repository.")
    remote: str | None = Field(None, description="Address of the remote `origin`, without user name or password.")
    branch: str | None = Field(None, description="The branch that was checked out there; None: none was.")
    dirty: bool = Field(False, description="True when the tree that ran is not that of the commit.")
    differs: Strings = Field(
        (), description="Files of the code that are not as the commit has them, each with why; the first 50."
    )
    aside: Strings = Field(
        (), description="Files that git lists as changed and that are no code, such as repro.toml; the first 50."
    )


class ExecutorRecord(Value):
    """What some of a cluster's executors were found to run, by a task of reprolock's own before the command."""

    python: str = Field(description="Exact version.")
    java: str = Field(description="Exact version.")
    packages: dict[str, str] = Field({}, description="Name and version of every package that Python finds there.")


class ServerRecord(Value):
    """What a Spark Connect server was found to be, before the command. A client locks none of it."""

    version: str = Field(description="Version of the server's Spark.")
    master: str | None = Field(None, description="The master that the server itself uses, if it says.")
    jars: Strings = Field((), description="File names of the jars on its class path and in its spark.jars.")


class SparkRecord(Value):
    """Spark as it was set up."""

    version: str = Field(description="Version of the pyspark that the command imports, and so of its Spark.")
    master: str = Field(description="With its N: local[2], never local[*]. Of a Spark Connect server its address.")
    conf: dict[str, str] = Field(description="Settings that reprolock wrote; secrets are references to variables.")
    jars: int = Field(description="How many jars were given.")
    brought: Strings = Field(
        (), description="Jars of spark.jars and files of the caller's SPARK_CONF_DIR, which nothing locks."
    )
    java: str | None = Field(None, description="Exact version and vendor of the Java that was found.")
    executors: Annotated[tuple[ExecutorRecord, ...], Strict(False)] = Field(
        (), description="What a cluster's executors run, one for each combination; empty for a local master."
    )
    server: ServerRecord | None = Field(None, description="The Spark Connect server, if the run used one.")


class EnvironmentRecord(Value):
    """Python as it was found."""

    python: str = Field(description="Exact version.")
    implementation: str = Field(description="CPython or another, as the platform module names it.")
    platform: str = Field(description="Operating system and processor, as the platform module names them.")
    cores: int | None = Field(
        None,
        description="Cores that the command may use, by its affinity: how many threads BLAS and OpenMP start, if no variable says it.",
    )
    locale: dict[str, str] = Field(
        {}, description="LANG, LANGUAGE and LC_* as the command was given them; none that pass_env names."
    )
    isolated: bool = Field(description="True in a locked environment of its own, false in reprolock's interpreter.")
    packages: dict[str, str] = Field({}, description="Name and version of every package installed.")
    wheels: dict[str, str] = Field(
        {}, description="Name and SHA-256 over each package's own files; empty where the environment is not locked."
    )


class OutputRecord(Value):
    """One declared output."""

    name: str = Field(description="Name in repro.toml.")
    path: str = Field(description="Where the command was to write it, relative to the project; as declared.")
    compare: str = Field(description="How a replay compares it, as declared: bytes, table, json or none.")
    files: int = Field(description="How many files were written.")
    bytes: int = Field(description="Their sizes, added up.")
    digest: str | None = Field(None, description="Over the files' bytes. None: the run did not write it.")
    compared: str | None = Field(
        None, description="The digest by which a replay compares: of bytes, a table or a document."
    )
    table: TableDigest | None = Field(None, description='Rows and columns, with compare = "table".')
    problem: str | None = Field(None, description="Why there is no digest to compare, although something was written.")
    kept: str | None = Field(None, description="The artifact that holds a copy, for a comparison within a tolerance.")

    @property
    def decisive(self) -> str | None:
        """The digest that a replay compares; of the bytes where `compare` has none of its own. None: nothing was written."""
        return self.compared or self.digest


class PublishedRecord(Value):
    """One output's way back into the lake."""

    name: str = Field(description="The output's name in repro.toml.")
    uri: str = Field(description="Where it was to be published, as declared.")
    branch: str = Field(description="The run's own branch; gone after a merge.")
    commit: str | None = Field(None, description="The commit that holds the output; None: nothing was committed.")
    tag: str | None = Field(None, description="The tag of that commit, as --tag named it.")
    merged: str | None = Field(None, description="The merge commit on the declared branch; None: not merged.")
    problem: str | None = Field(None, description="Why it stopped where it did.")


class ChildRecord(Value):
    """One MLflow run that the command started beside the run's own: in a loop, nested, by autologging, in another process."""

    run_id: str = Field(description="MLflow's ID.")
    name: str = Field(description="Its name in MLflow, which makes one up where the command gave none.")
    experiment_id: str = Field(description="MLflow's ID of its experiment; the command may have set another.")
    status: str = Field(description="Its status in MLflow when the command had ended.")
    params: dict[str, str] = Field({}, description="What it logged, as MLflow has it.")
    metrics: dict[str, Measured] = Field({}, description="Last value of each metric that it logged.")
    models: Strings = Field((), description="Models that it registered, as NAME/VERSION.")


class LeftoverRecord(Value):
    """What the command wrote and no output declares: a file, or a folder ("/" at its end) in which nothing is code or output."""

    path: str = Field(
        description='Relative to the folder that the command ran in; "./", the last of 50, stands for all others.'
    )
    files: int = Field(description="How many files.")
    bytes: int = Field(description="Their sizes, added up.")


class EndingRecord(Value):
    """How the command ended."""

    exit_code: int | None = Field(
        None, description="As the operating system gave it; None where a signal ended the command, or it never started."
    )
    signal: int | None = Field(None, description="Number of the signal that ended it, or that ended reprolock.")
    reason: str = Field(
        description="The same in words, with what else made the run fail: a time-out, an output that was not written."
    )
    seconds: float = Field(description="From the start of the run to the end of the command, by this machine's clock.")


class Digests(Value):
    """SHA-256 by section, and over all sections."""

    sections: dict[str, str] = Field(description="Section → SHA-256 over its canonical JSON.")
    total: str = Field(description="SHA-256 over all of them.")


class Record(Value):
    """One run."""

    version: Literal[1] = Field(1, description="Version of this format; a newer one is refused.")
    run_id: str = Field(
        pattern=r"^[A-Za-z0-9_-]{1,64}$",
        description="32 hex digits; MLflow's run ID where MLflow was there at the start.",
    )
    project: str = Field(description="project.name in repro.toml.")
    experiment: str = Field(
        description="MLflow's experiment: mlflow.experiment in repro.toml, else the project's name."
    )
    run_name: str | None = Field(
        None,
        description="As --name gave it; where it is None, MLflow's name of the run says what was changed, or its data and its first params.",
    )
    replay_of: str | None = Field(None, description="The run that this one replays.")
    parent: str | None = Field(None, description="MLflow's ID of the sweep that this run is a part of.")
    status: Literal["RUNNING", "FINISHED", "FAILED", "KILLED"] = Field(
        description="RUNNING in the opening record. FINISHED: exit code 0, and every declared output written. KILLED: by a signal or the time-out."
    )
    started: AwareDatetime = Field(description="When the MLflow run was created, UTC, by this machine's clock.")
    ended: AwareDatetime | None = Field(None, description="When the command had ended, UTC; None while it runs.")
    reprolock: str = Field(description="Version of reprolock.")
    mode: Mode = Field(
        description="In a folder of its own, in the project's folder, or interactive: a block of a notebook or a script, which no replay can repeat."
    )
    command: Strings = Field(
        description="Arguments as executed, placeholders filled in; the file that holds the block where the mode is interactive."
    )
    params: dict[str, Any] = Field(
        {}, description="[params] of repro.toml with what --set changed, typed as TOML has them."
    )
    what_if: dict[str, Any] = Field(
        {}, description="Params that --set gave for this run only; repro.toml differs there."
    )
    seed: int | None = Field(None, description="run.seed in repro.toml.")
    env: dict[str, str] = Field({}, description="Variables that [run] env set.")
    pass_env: Strings = Field((), description="Names of variables that passed from the caller; never their values.")
    datasets: Annotated[tuple[DatasetRecord, ...], Strict(False)] = Field(
        (), description="Inputs, in the order of repro.toml; from repro.lock."
    )
    code: CodeRecord = Field(description="The code that ran, as it was copied for the run.")
    environment: EnvironmentRecord = Field(description="Python and the machine, as they were found.")
    spark: SparkRecord | None = Field(None, description="Spark as it was set up; None where repro.toml has no [spark].")
    pinned: Digests = Field(description="What the lock and the spec say.")
    observed: Digests = Field(description="What was found.")
    rules: dict[str, dict[str, Any]] = Field(
        {}, description="How a replay compares: outputs.NAME and metrics.NAME, with what repro.toml declares of each."
    )
    artifacts: dict[str, str] = Field({}, description="Name → SHA-256 of every file that is logged beside record.json.")
    why: Strings = Field((), description="Why this run is not the one before it.")
    ending: EndingRecord | None = Field(None, description="How the command ended; None while it runs.")
    outputs: Annotated[tuple[OutputRecord, ...], Strict(False)] = Field(
        (), description="One for each [outputs.NAME], measured when the command had ended."
    )
    leftovers: Annotated[tuple[LeftoverRecord, ...], Strict(False)] = Field(
        (),
        description="What the command wrote and no output declares, largest first; none of a run in the project's own folder.",
    )
    published: Annotated[tuple[PublishedRecord, ...], Strict(False)] = Field(
        (), description="One for each output with publish, of a run that finished; a replay publishes nothing."
    )
    lineage: Lineage | None = Field(
        None, description="What Spark was seen to read and write; None while the run has not ended."
    )
    metrics: dict[str, Measured] = Field(
        {},
        description="Last value of each metric that the run logged; of one that only its children logged, the value of the child that started last.",
    )
    children: Annotated[tuple[ChildRecord, ...], Strict(False)] = Field(
        (), description="MLflow runs that the command started beside this one, oldest first."
    )
    seal: Digests | None = Field(
        None, description="Over all other fields, by name; MLflow's tag reprolock.seal repeats the total."
    )

    def sealed(self) -> Record:
        """The record with its seal, as every record.json has it."""
        # By way of JSON, where a date is a text; a field that a later version adds does not break it while it is empty.
        document = json.loads(self.model_dump_json(exclude={"seal"}, exclude_defaults=True))
        each = {name: digest_of(value) for name, value in document.items()}
        return self.replaced({"seal": Digests(sections=each, total=digest_of(each))})

    @property
    def interrupted_by(self) -> int | None:
        """The signal that ended reprolock, and the command with it; None where the run came to an end of its own."""
        return self.ending.signal if self.ending is not None and self.status == "KILLED" else None

    @property
    def broken(self) -> tuple[str, ...]:
        """Fields that are not as they were when the record was written; "seal" where that itself is at fault."""
        found = self.sealed().seal
        assert found is not None
        if self.seal is None or digest_of(self.seal.sections) != self.seal.total:
            return ("seal",)
        names = found.sections.keys() | self.seal.sections.keys()
        return tuple(sorted(name for name in names if found.sections.get(name) != self.seal.sections.get(name)))
