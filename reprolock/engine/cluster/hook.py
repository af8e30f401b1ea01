"""Give Spark its secrets when it starts, so that they are in no file and on no command line.

Part of a run on a cluster: copied as sitecustomize.py into a folder of the run that PYTHONPATH names, and imported by
each Python that the command starts. Only the standard library may be used here. Where pyspark starts its JVM, each
variable that REPROLOCK_EXECUTOR_VARIABLES names becomes the property `spark.executorEnv.NAME` of that JVM; Spark
reads such properties as settings, and passes them to the executors that it starts. Spark itself waits without end for an
executor: jobs that have had none for REPROLOCK_EXECUTOR_PATIENCE seconds are cancelled, which `reprolock-no-executor`
beside this file then says. Where pyspark opens a session on the Connect server of SPARK_REMOTE, the session is given the
settings of REPROLOCK_CONNECT_SETTINGS and the archive that REPROLOCK_CONNECT_ARCHIVE names.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import sys
import threading
import time
from contextlib import suppress
from importlib.machinery import ModuleSpec, PathFinder
from urllib.parse import urlsplit

_CONNECT_PORT = 15002
_HERE = os.path.dirname(os.path.abspath(__file__))


class _Finder:
    """Finds two modules of pyspark as Python does, and wraps one function of each when it is loaded."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if name not in _WRAPPERS:
            return None
        spec = PathFinder.find_spec(name, path)  # type: ignore[arg-type]  # as the import system hands it on
        if spec is not None and spec.loader is not None:
            spec.loader.exec_module = functools.partial(_load, spec.loader.exec_module, _WRAPPERS[name])  # type: ignore[method-assign]
        return spec


def _load(execute, wrap, module) -> None:  # type: ignore[no-untyped-def]  # as importlib defines them
    execute(module)
    wrap(module)


def _wrap_gateway(module) -> None:  # type: ignore[no-untyped-def]
    launch = module.launch_gateway

    @functools.wraps(launch)
    def launch_gateway(*args, **kwargs):  # type: ignore[no-untyped-def]  # whatever pyspark's own takes
        gateway = launch(*args, **kwargs)
        for name in os.environ.get("REPROLOCK_EXECUTOR_VARIABLES", "").split():
            if name in os.environ:
                gateway.jvm.java.lang.System.setProperty(f"spark.executorEnv.{name}", os.environ[name])
        if patience := os.environ.get("REPROLOCK_EXECUTOR_PATIENCE"):
            threading.Thread(target=_watch_executors, args=(float(patience),), daemon=True).start()
        return gateway

    module.launch_gateway = launch_gateway


def _watch_executors(patience: float) -> None:
    """Until Python ends: cancel what waits, where no executor was there for so many seconds."""
    alone = 0.0
    period = min(5.0, patience / 4)
    while True:
        time.sleep(period)
        with suppress(Exception):  # between two sessions, or as the JVM ends
            context = sys.modules["pyspark"].SparkContext._active_spark_context
            if context is None or not context.statusTracker().getActiveJobsIds():
                alone = 0.0
                continue
            executors = context._jsc.sc().statusTracker().getExecutorInfos()  # the driver is one of them
            alone = alone + period if len(executors) < 2 else 0.0
            if alone >= patience:
                alone = 0.0
                with open(os.path.join(_HERE, "reprolock-no-executor"), "w", encoding="utf-8") as file:
                    file.write(f"{patience:.0f}")
                context.cancelAllJobs()


def _wrap_session(module) -> None:  # type: ignore[no-untyped-def]
    create = module.SparkSession.__init__

    @functools.wraps(create)
    def __init__(self, *args, **kwargs):  # type: ignore[no-untyped-def]  # whatever pyspark's own takes
        create(self, *args, **kwargs)
        # Credentials are for this server alone, not for another one on the same host.
        if getattr(self.client._builder, "endpoint", None) == _endpoint(os.environ.get("SPARK_REMOTE", "")):
            for name, value in json.loads(os.environ.get("REPROLOCK_CONNECT_SETTINGS", "{}")).items():
                with suppress(Exception):  # what a session cannot change is asked for before the command
                    self.conf.set(name, value)
            if archive := os.environ.get("REPROLOCK_CONNECT_ARCHIVE"):
                self.addArtifacts(archive, archive=True)
                self.addArtifacts(os.path.join(_HERE, "reprolock-variables"), file=True)

    module.SparkSession.__init__ = __init__


def _endpoint(address: str) -> str:
    """Host and port of a Connect server, as pyspark's channel builders write them."""
    found = urlsplit(address)
    return found.netloc.lower() if found.port else f"{found.netloc.lower()}:{_CONNECT_PORT}"


_WRAPPERS = {"pyspark.java_gateway": _wrap_gateway, "pyspark.sql.connect.session": _wrap_session}


def _import_the_next() -> None:
    """A sitecustomize.py of the environment's own, which this one stands before."""
    spec = PathFinder.find_spec("sitecustomize", [path for path in sys.path if os.path.abspath(path) != _HERE])
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


sys.meta_path.insert(0, _Finder)  # a finder needs no more than find_spec
_import_the_next()
