"""Hands variables of the driver to executors: in the driver's JVM, as it starts, and nowhere else.

Part of a run on a cluster: copied as sitecustomize.py into a folder of the run that PYTHONPATH names, and imported by
each Python that the command starts. Only the standard library may be used here. Where pyspark starts its JVM, each
variable that REPROLOCK_EXECUTOR_VARIABLES names becomes the property `spark.executorEnv.NAME` of that JVM; Spark
reads such properties as settings, and passes them to the executors that it starts.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import sys
from importlib.machinery import ModuleSpec, PathFinder

_GATEWAY = "pyspark.java_gateway"


class _Finder:
    """Finds pyspark's gateway module as Python does, and wraps its one function when it is loaded."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if name != _GATEWAY:
            return None
        spec = PathFinder.find_spec(name, path)  # type: ignore[arg-type]  # as the import system hands it on
        if spec is not None and spec.loader is not None:
            spec.loader.exec_module = functools.partial(_load, spec.loader.exec_module)  # type: ignore[method-assign]
        return spec


def _load(execute, module) -> None:  # type: ignore[no-untyped-def]  # both as importlib defines them
    execute(module)
    launch = module.launch_gateway

    @functools.wraps(launch)
    def launch_gateway(*args, **kwargs):  # type: ignore[no-untyped-def]  # whatever pyspark's own takes
        gateway = launch(*args, **kwargs)
        for name in os.environ.get("REPROLOCK_EXECUTOR_VARIABLES", "").split():
            if name in os.environ:
                gateway.jvm.java.lang.System.setProperty(f"spark.executorEnv.{name}", os.environ[name])
        return gateway

    module.launch_gateway = launch_gateway


def _import_the_next() -> None:
    """A sitecustomize.py of the environment's own, which this one stands before."""
    here = os.path.dirname(os.path.abspath(__file__))
    spec = PathFinder.find_spec("sitecustomize", [path for path in sys.path if os.path.abspath(path) != here])
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


sys.meta_path.insert(0, _Finder)  # a finder needs no more than find_spec
_import_the_next()
