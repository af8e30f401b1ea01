"""`export`: write a recorded run as OpenLineage, W3C PROV or RO-Crate.

The libraries of these standards are an extra (`reprolock[export]`); each is loaded when its format is asked for.
"""

from __future__ import annotations

from pathlib import Path

from reprolock.errors import UsageError
from reprolock.files.atomic_write import write_whole
from reprolock.steps.inspecting.operands import Sides
from reprolock.steps.inspecting.standards import Format, standard
from reprolock.steps.project.machine import Machine


def export(
    root: Path,
    run: str,
    format: Format,
    target: Path | None = None,
    *,
    tracking_uri: str | None = None,
    machine: Machine | None = None,
) -> str | None:
    """The document, or None where it was written to `target`: a file, for RO-Crate a folder that does not exist yet.

    `run` is an ID, the beginning of one, or a folder with a run's artifacts. UsageError for an RO-Crate without
    a folder, MachineError where the standard's library is not installed.
    """
    machine = machine or Machine.here()
    library = standard(format, f"--format {format}")
    with Sides(root, machine, tracking_uri) as sides:
        side = sides.run(run)
        if format == "ro-crate":
            if target is None or target.exists():
                what = f"{target} is already there" if target else "an RO-Crate is a folder, and none is named"
                raise UsageError(what, hint="name a new folder with --output")
            library.write_crate(side.record, side.folder, target)
            return None
    text: str = library.events(side.record) if format == "openlineage" else library.document(side.record)
    machine.scanner().check(text, f"the {format} document", lines=False)
    if target is None:
        return text
    write_whole(target, text.encode())
    return None
