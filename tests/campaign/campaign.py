"""`make campaign`: everything that can happen to a project, many times, and a table of what came of it.

    python tests/campaign/campaign.py [--count 1000] [--kills 200] [--rounds 1] [--seed N] [--write]

Real lakeFS, MinIO and MLflow servers are used where their programs are here; their parts are left out otherwise.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "campaign")]

import disasters
import kills
import mutations
import services
from site_ import Site
from table import Row, markdown

PAGE = ROOT / "docs" / "concepts" / "campaign.md"


def main() -> int:
    """The campaign; 1 where anything of it is not zero."""
    options = _options()
    started = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="campaign-", ignore_cleanup_errors=True) as name,
        ThreadPoolExecutor(2) as pool,
    ):
        work = Path(name)
        parts: list[Callable[[], list[Row]]] = [lambda: _embedded(work, options)]
        if all(services.shutil.which(program) for program in ("lakefs", "minio")):
            parts.append(lambda: _served(work, options))
        # Mutations change this process's own environment, and come first and alone.
        rows = mutations.campaign(_embedded_site(work / "mutations"), options.count, options.seed)
        _show(rows)
        for found in pool.map(lambda part: part(), parts):
            rows += found
    table = markdown(rows)
    print(table, *(f"- {row.part}: {note}" for row in rows for note in row.notes), sep="\n")
    if options.write:
        PAGE.write_text(_page(table, options, time.monotonic() - started))
    return int(any(row.notes for row in rows))


def _embedded_site(folder: Path) -> Site:
    site = Site(folder / "project")
    site.fill()
    return site


def _embedded(work: Path, options: argparse.Namespace) -> list[Row]:
    rows = [kills.campaign(_embedded_site(work / "kills"), "embedded lake", options.kills // 2, options.seed)]
    _show(rows)
    rows.append(disasters.writers(_embedded_site(work / "writers"), "embedded lake", options.rounds))
    rows.append(disasters.full_disk(_embedded_site(work / "disk"), options.seed))
    _show(rows)
    return rows


def _served(work: Path, options: argparse.Namespace) -> list[Row]:
    with ExitStack() as stack:
        object_store = services.start_store(work / "store")
        stack.callback(object_store.server.stop)
        lakefs = services.start_lakefs(work / "lakefs", object_store)
        stack.callback(lakefs.server.stop)
        mlflow = services.start_mlflow(work / "mlflow")
        stack.callback(mlflow.stop)
        environ = {**lakefs.lakectl, "MLFLOW_TRACKING_URI": mlflow.endpoint}
        site = Site(work / "served" / "project", environ, endpoint=lakefs.endpoint)
        site.fill(lakefs.storage)
        rows = [kills.campaign(site, "lakeFS on MinIO", options.kills - options.kills // 2, options.seed)]
        _show(rows)
        rows.append(disasters.writers(site, "lakeFS on MinIO", options.rounds))
        rows.append(
            disasters.services_away(site, [lakefs.server, object_store.server, mlflow], options.rounds, options.seed)
        )
        _show(rows)
        return rows


def _show(rows: list[Row]) -> None:
    """What is known so far, for whoever waits."""
    print(
        markdown(rows),
        *(f"- {row.part}: {note}" for row in rows for note in row.notes),
        sep="\n",
        file=sys.stderr,
        flush=True,
    )


def _page(table: str, options: argparse.Namespace, seconds: float) -> str:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    used = ", ".join(f"{name} {version}" for name, version in sorted(services.used.items()))
    return f"""# The campaign

`make campaign` does to a project what can happen to it, and counts. *Wrong*: a traceback, "a bug", an exit code or a
result that is not so, a change to a lock or record that is overlooked. *Lost*: something that was there, or that the
same command does not bring about when it is repeated. *Leaked*: a secret in a file or on the terminal. *Left running*: a
process that outlives a killed reprolock by 15 seconds.

{table}
Made at commit {commit.strip()} on {datetime.now(UTC):%Y-%m-%d} in {seconds / 60:.0f} minutes, against {used or "the embedded lake"}, with
`--count {options.count} --kills {options.kills} --rounds {options.rounds} --seed {options.seed}`.
A short form of it, on the embedded lake, is part of `make test`.
"""


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Everything that can happen to a project, many times.")
    parser.add_argument("--count", type=int, default=1000, help="mutations of each file")
    parser.add_argument("--kills", type=int, default=200, help="kills over both lakes")
    parser.add_argument("--rounds", type=int, default=1, help="how often each service goes away during each step")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.relative_to(ROOT)}")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
