"""A record as W3C PROV, in PROV-JSON: the run is an activity, data, code and outputs are entities, reprolock an agent."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from prov.model import PROV_LABEL, PROV_TYPE, ProvDocument

from reprolock.model.record import Record


def document(record: Record) -> str:
    """PROV-JSON with a newline at its end."""
    prov = ProvDocument()
    for name in ("run", "data", "code", "output", "about"):
        prov.add_namespace(name, f"urn:reprolock:{name}:")
    run = prov.activity(
        f"run:{quote(record.run_id, safe='')}",
        record.started,
        record.ended,
        {
            PROV_LABEL: record.project,
            "about:status": record.status,
            "about:command": " ".join(record.command),
            "about:pinned": record.pinned.total,
            "about:observed": record.observed.total,
            "about:python": record.environment.python,
            **({"about:seed": record.seed} if record.seed is not None else {}),
        },
    )
    agent = prov.agent(
        "about:reprolock",
        {PROV_TYPE: prov.valid_qualified_name("prov:SoftwareAgent"), "about:version": record.reprolock},
    )
    prov.association(run, agent)
    for item in record.datasets:
        data: dict[Any, str] = {  # prov's own names beside ours
            PROV_LABEL: item.name,
            "about:address": item.resolved,
            "about:commit": item.commit,
            "about:digest": item.digest,
        }
        prov.usage(run, prov.entity(f"data:{quote(item.resolved, safe='')}", data))
    code: dict[Any, str] = {
        PROV_LABEL: "code",
        "about:digest": record.code.digest,
        **({"about:commit": record.code.commit} if record.code.commit else {}),
    }
    prov.usage(run, prov.entity(f"code:{quote(record.code.digest, safe='')}", code))
    for output in record.outputs:
        if output.decisive is not None:
            name = quote(f"{record.run_id}/{output.name}", safe="")
            about: dict[Any, str] = {
                PROV_LABEL: output.name,
                "about:path": output.path,
                "about:digest": output.decisive,
            }
            prov.generation(prov.entity(f"output:{name}", about), run, record.ended)
    if record.replay_of is not None:
        prov.communication(run, prov.activity(f"run:{quote(record.replay_of, safe='')}"))
    return str(prov.serialize(format="json", indent=2, sort_keys=True)) + "\n"
