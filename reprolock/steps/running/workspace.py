"""Lay out a `Workspace`: everything that one command is given, in a folder of its own.

1. code: exactly the recorded files, in `work` (or the project's folder, with --in-place)
2. inputs: an address at the commit where Spark reads the lake in place, else a read-only tree
3. Spark: generated defaults, local jars, secrets as references to variables
4. variables, as tox treats them, and REPROLOCK_CONTEXT for `reprolock.current()`
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from reprolock.engine.cluster.connect import Connect
from reprolock.engine.cluster.settings import Cluster
from reprolock.engine.command_environment import Variables, variables
from reprolock.engine.spark import S3Access, plan_spark
from reprolock.engine.spark_listener import Watch
from reprolock.environment.caches import cache_folder
from reprolock.environment.code.snapshot import Snapshot, place
from reprolock.environment.jvm.java import Java
from reprolock.environment.jvm.spark_home import spark_home
from reprolock.environment.python.installed.ship import packed_environment
from reprolock.environment.python.interpreters.editable import linked_folders
from reprolock.environment.python.interpreters.interpreter import package_folders
from reprolock.environment.python.interpreters.kernels import kernel_of, kernels_in, write_kernels
from reprolock.environment.python.interpreters.module_path import refuse_other_python, refuse_unrecorded_modules
from reprolock.environment.python.interpreters.script_runtime import write_runtime
from reprolock.errors import ServiceError, UsageError
from reprolock.files.atomic_write import own_folder
from reprolock.files.os_errors import cannot_write
from reprolock.files.spec_file import NAME as SPEC
from reprolock.files.spec_file import read_spec
from reprolock.lake.lakefs.credentials import find_credentials
from reprolock.lake.protocol import Lake
from reprolock.model.lock import DatasetPin
from reprolock.model.placeholders import expand
from reprolock.model.record import run_uuid
from reprolock.model.spec import Spec
from reprolock.model.workspace import Input, Mode, SparkPlan, Workspace
from reprolock.steps.inputs.materialise import Materialised, make_tree
from reprolock.steps.project.machine import Machine
from reprolock.steps.project.run_context import RunContext
from reprolock.steps.publishing.run_branches import Publication
from reprolock.steps.running.interpreter import Interpreter
from reprolock.steps.running.script_context import OutputTarget, placeholder_values, write_context

RUNTIME = "runtime"
"""In a run's folder: `import reprolock` for a command whose environment does not have it."""


class Materials(NamedTuple):
    """What has been made ready before the run has an ID: code, inputs, Python, jars, Java, and the lake they came from."""

    snapshot: Snapshot
    code_root: Path
    inputs: tuple[Input, ...]
    interpreter: Interpreter
    jars: tuple[Path, ...]
    listener: Path | None
    java: Java | None
    lake: Lake | None


def inputs_of(context: RunContext, lake: Lake | None) -> tuple[Input, ...]:
    """Where the command finds each dataset. What Spark cannot read in place, or a placeholder asks for, is materialised.

    Offline everything is, out of the cache; without a lake, too.
    """
    spec, offline = context.spec, context.offline
    asked = " ".join((*spec.run.command, *spec.run.env.values()))
    inputs = []
    for pin in context.pins:
        url = lake.address(pin.place) if lake and spec.spark and not offline else None
        if url is None or f"{{datasets.{pin.name}.path}}" in asked:
            made = local_tree(context, None if offline and spec.lake.kind == "lakefs" else lake, pin)
            inputs.append(Input(pin.name, url or f"file://{made.path}", made.path, made.copied))
        else:
            inputs.append(Input(pin.name, url, None))
    return tuple(inputs)


def local_tree(context: RunContext, lake: Lake | None, pin: DatasetPin) -> Materialised:
    """The dataset's read-only tree in the project, made of links into this user's cache; None asks no lake."""
    return make_tree(lake, pin, context.cache, own_folder(context.root) / "data", context.progress)


def rebuild(
    run_id: str,
    context: RunContext,
    materials: Materials,
    *,
    mode: Mode,
    tracking: Mapping[str, str],
    publication: Publication | None = None,
) -> tuple[Workspace, Variables]:
    """Lay out `.reprolock/runs/<run_id>`. `tracking` are MLflow's variables for the command."""
    spec = context.spec
    folder = own_folder(context.root) / "runs" / run_id
    work = context.root if mode == "in-place" else folder / "work"
    _lay_out_code(materials, folder, work)
    outputs = {name: work / output.path for name, output in spec.outputs.items()}
    direct = publication if spec.spark else None  # the lake's credentials are for Spark alone
    targets = {
        name: OutputTarget(path, (direct and direct.url(name)) or f"file://{path}") for name, path in outputs.items()
    }
    plan, spark_environ = _spark(context, materials, folder, direct)
    context_file = write_context(folder, run_id, context, materials.inputs, targets)
    values = placeholder_values(spec, materials.inputs, targets)
    given = {"REPROLOCK_CONTEXT": str(context_file), "REPROLOCK_RUN_ID": run_id, **spark_environ, **tracking}
    own = () if mode != "isolated" or materials.interpreter.built else _own_copies(context, work)
    composed = _variables(context, materials, folder, plan, values, given, own)
    _refuse_unrecorded_modules(composed, materials, folder, work, plan)
    workspace = Workspace(
        run_id=run_id,
        folder=folder,
        work=work,
        mode=mode,
        argv=tuple(expand(argument, values) for argument in spec.run.command),
        environ=composed.environ,
        inputs=materials.inputs,
        outputs=outputs,
        params=spec.params,
        code=materials.snapshot.state,
        spark=plan,
        timeout_seconds=spec.run.timeout_seconds,
    )
    return workspace, composed


def _lay_out_code(materials: Materials, folder: Path, work: Path) -> None:
    """The run's folder, and in `work` the recorded files; a run in the project's folder has them there."""
    for made in (folder, work):
        try:
            made.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(made, error) from error
    if work.is_relative_to(folder):
        place(materials.snapshot, materials.code_root, work)


def _variables(
    context: RunContext,
    materials: Materials,
    folder: Path,
    plan: SparkPlan | None,
    values: Mapping[str, Any],
    given: Mapping[str, str],
    own: Iterable[Path],
) -> Variables:
    """The command's variables: those of this machine that pass, those of `[run] env`, and `given`. `own` are folders of the code
    that come before installed packages."""
    run, machine, java = context.spec.run, context.machine, materials.java
    set_env = {name: expand(text, values) for name, text in run.env.items()}
    refuse_other_python({name: machine.environ.get(name, "") for name in run.pass_env} | set_env)
    return variables(
        machine.environ,
        programs=[str(materials.interpreter.programs), *([str(java.home / "bin")] if java else [])],
        modules=_modules(plan, write_runtime(folder / RUNTIME) if materials.interpreter.built else None, own),
        seed=run.seed,
        set_env=set_env,
        pass_env=run.pass_env,
        extra={
            **({"JAVA_HOME": str(java.home)} if java else {}),
            **_jupyter(context.spec, materials, machine, folder),
            **({"PYTHONPYCACHEPREFIX": str(folder / "bytecode")} if context.hashing else {}),
            **given,
        },
    )


def _refuse_unrecorded_modules(
    composed: Variables, materials: Materials, folder: Path, work: Path, plan: SparkPlan | None
) -> None:
    """UsageError for a folder of PYTHONPATH that is neither code nor input, nor made by reprolock."""
    trees = [item.path for item in materials.inputs if item.path]
    trees += [plan.hook] if plan and plan.hook else []
    refuse_unrecorded_modules(composed.environ.get("PYTHONPATH", ""), work, [folder / RUNTIME, *trees])


def _jupyter(spec: Spec, materials: Materials, machine: Machine, folder: Path) -> dict[str, str]:
    """Jupyter's variables where the command may start IPython or a kernel: neither takes start-up files of the user's, and a kernel's
    name must not lead to another Python."""
    if not materials.interpreter.record.packages.keys() & {"ipython", "ipykernel"}:
        return {}
    notebooks = [file.path for file in materials.snapshot.files if file.path.endswith(".ipynb")]
    asked = {kernel_of((materials.code_root / path).read_bytes()) for path in notebooks} - {None}
    python = machine.python
    if materials.interpreter.built:
        python = materials.interpreter.programs / ("python.exe" if os.name == "nt" else "python")
    return write_kernels(folder / "jupyter", python, {*filter(None, asked), *kernels_in(spec.run.command)})


def _own_copies(context: RunContext, work: Path) -> Iterator[Path]:
    """Where the project is installed as an editable package, its folders among the code of this run: imported would be what stands in the
    project now, whatever was recorded. Of other such packages there is no copy, which is a warning."""
    for folder, file in linked_folders(package_folders()).items():
        root = next((each for each in (folder, *folder.parents) if (each / SPEC).is_file()), None)
        copy = work / folder.relative_to(root) if root and _project_name(root) == context.spec.project.name else None
        if copy is not None and copy.is_dir():
            yield copy
        else:
            context.warn(
                f"{file} lets Python import from {folder}, which is neither locked nor among the code of this run"
            )


def _project_name(root: Path) -> str | None:
    """What the project in a folder is called: in a replay it is another folder than the run's."""
    try:
        return read_spec(root).project.name
    except UsageError:
        return None


def _modules(plan: SparkPlan | None, runtime: Path | None, own: Iterable[Path]) -> str | None:
    """What PYTHONPATH starts with: the hook for a cluster, `import reprolock` where it is not installed, and the code's own folders."""
    folders = [plan.hook if plan else None, runtime, *own]
    return os.pathsep.join(str(folder) for folder in folders if folder is not None) or None


def _spark(
    context: RunContext, materials: Materials, folder: Path, publication: Publication | None
) -> tuple[SparkPlan | None, dict[str, str]]:
    """What Spark is given, and its variables. `publication`: where the command writes to the lake itself."""
    spec, machine = context.spec, context.machine
    if spec.spark is None:
        return None, {}
    user_conf = None if spec.spark.remote else machine.environ.get("SPARK_CONF_DIR")  # which no Connect client reads
    published = {branch.repository for branch in publication.branches} if publication else set()
    home = spark_home(materials.interpreter.pyspark)
    listener = materials.listener
    return plan_spark(
        spec.spark,
        version=home.version,
        jars=materials.jars,
        cores=machine.cores,
        folder=folder / "spark-conf",
        java=str(materials.java) if materials.java else None,
        user_conf=Path(user_conf) if user_conf else None,
        s3=s3_access(context, published),
        watch=Watch(listener, home.folder, folder, spec.project.name, run_uuid(folder.name)) if listener else None,
        cluster=_cluster(context, materials.interpreter),
    )


def _cluster(context: RunContext, interpreter: Interpreter) -> Cluster | Connect | None:
    """What executors on other machines, or a Connect server, are given; None for a local master."""
    if context.spec.spark is None or not context.spec.spark.has_cluster:
        return None
    built = interpreter.built
    archive = packed_environment(built, cache_folder(context.machine.environ)) if built else None
    kind = Connect if context.spec.spark.remote else Cluster
    return kind(archive, context.spec.run.env)


def s3_access(context: RunContext, published: Collection[str] = ()) -> S3Access | None:
    """The lake's S3 gateway and its credentials; None for an embedded lake, and where no lake may be asked. ServiceError where there is no key pair for it.

    `published` are further repositories, which the command may write to.
    """
    spec, pins, machine = context.spec, context.pins, context.machine
    if spec.lake.kind == "git" or context.offline or not (pins or published):
        return None
    keys = find_credentials(spec.lake.endpoint, machine.environ, machine.home)
    if keys.session_token:
        raise ServiceError(
            f"Spark reads lakeFS through its S3 gateway, which takes no session token ({keys.credentials_place})",
            hint="set an access key ID and a secret access key",
        )
    repositories = tuple(sorted({pin.place.repository for pin in pins}.union(published)))
    return S3Access(keys.endpoint, repositories, keys.access_key_id, keys.secret_access_key)
