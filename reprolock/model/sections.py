"""The two digests of a run, section by section: what was pinned, and what was observed.

Nine sections, each a value that is digested by itself, so that two runs compare by one value and a
difference names its section. Places on this machine and addresses of services stand in none of them: the same run on
another machine has the same digests.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from reprolock.model.digest import digest_of
from reprolock.model.lock import DatasetPin, EnvironmentPin, JarsPin
from reprolock.model.record import Digests, EnvironmentRecord
from reprolock.model.spec import Spec
from reprolock.model.spec_spark import SparkSpec, is_connect

SECTIONS = ("data", "packages", "jars", "java", "spark", "code", "params", "seed", "command")

_OF_THIS_MACHINE = (
    "spark.jars",
    "spark.archives",
    "spark.hadoop.fs.s3a.",
    "spark.hadoop.fs.s3.impl",
    "spark.driver.host",
    "spark.local.dir",
    "spark.master",
)


def digests(sections: Mapping[str, Any]) -> Digests:
    """SHA-256 of each section's canonical form, and over the nine of them in order."""
    each = {name: digest_of(sections[name]) for name in SECTIONS}
    return Digests(sections=each, total=digest_of([[name, each[name]] for name in SECTIONS]))


def pinned_sections(
    spec: Spec,
    pins: Iterable[DatasetPin],
    environment: EnvironmentPin | None,
    jars: JarsPin | None,
    code_digest: str,
) -> dict[str, Any]:
    """What the spec and the lock say of each section."""
    return {
        "data": _data(spec, pins),
        "packages": _packages(environment),
        "jars": _jars(jars),
        "java": environment.java if environment else spec.environment.java,
        "spark": pinned_spark(spec.spark, spec.spark.address) if spec.spark else None,
        **_shared_values(spec, code_digest),
    }


def pinned_spark(spark: SparkSpec, master: str) -> dict[str, Any]:
    """The section `spark` of a run on this master."""
    return {"master": master, "conf": spark.conf}


def observed_sections(
    spec: Spec,
    pins: Iterable[DatasetPin],
    environment: EnvironmentRecord,
    jars: JarsPin | None,
    code_digest: str,
    *,
    java: str | None,
    master: str | None,
    conf: Mapping[str, str],
) -> dict[str, Any]:
    """What was found of each section: wheels installed, exact Java, effective settings, N."""
    return {
        "data": _data(spec, pins),
        "packages": observed_packages(environment),
        "jars": None if is_connect(master) else _jars(jars),  # a Connect server has its own
        "java": java,
        "spark": {"master": master, "conf": deciding_settings(conf)} if spec.spark else None,
        **_shared_values(spec, code_digest),
    }


def deciding_settings(conf: Mapping[str, str]) -> dict[str, str]:
    """Spark's settings without those that only say where things are on this machine."""
    return {name: value for name, value in conf.items() if not name.startswith(_OF_THIS_MACHINE)}


def observed_packages(environment: EnvironmentRecord) -> dict[str, Any]:
    """Python's exact version, and each package with its version and, in a locked environment, its files' digest."""
    return {
        "python": environment.python,
        "packages": {name: [version, environment.wheels.get(name)] for name, version in environment.packages.items()},
    }


def _packages(environment: EnvironmentPin | None) -> dict[str, Any] | None:
    if environment is None:
        return None
    return {
        "python": environment.python,
        "packages": [package.model_dump() for package in environment.package],
        "build": [package.model_dump() for package in environment.build],
    }


def _data(spec: Spec, pins: Iterable[DatasetPin]) -> list[Any]:
    return [
        {
            "name": pin.name,
            "resolved": pin.resolved,
            "glob": pin.glob,
            "digest": pin.digest,
            "format": spec.datasets[pin.name].format,
            "options": spec.datasets[pin.name].options,
        }
        for pin in sorted(pins, key=lambda pin: pin.name)
    ]


def _jars(jars: JarsPin | None) -> list[Any] | None:
    return [[jar.coordinate, jar.sha256] for jar in jars.jar] if jars else None


def _shared_values(spec: Spec, code_digest: str) -> dict[str, Any]:
    return {
        "code": code_digest,
        "params": spec.params,
        "seed": spec.run.seed,
        "command": {
            "arguments": spec.run.command,
            "env": spec.run.env,
            "pass_env": sorted(spec.run.pass_env),
            "outputs": {name: output.path for name, output in spec.outputs.items()},
        },
    }
