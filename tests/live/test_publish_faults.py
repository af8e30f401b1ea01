"""Publishing to a real lakeFS that is protected, killed, restarted, or cut off at the worst moment."""

from __future__ import annotations

import io
import secrets
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import services
import urllib3
from breakable_proxy import BreakableProxy, breakable_proxy
from command_line import Cli
from project import Project, wait_for
from publishing import WHOLE, Site, meanwhile

from reprolock.errors import LakeRefused
from reprolock.lake.open import open_lake

pytestmark = pytest.mark.live


@pytest.fixture
def proxy(server: services.LakeFS) -> Iterator[BreakableProxy]:
    with breakable_proxy(server.server.port) as proxy:
        yield proxy


@pytest.fixture
def site(
    request: pytest.FixtureRequest,
    project: Project,
    cli: Cli,
    server: services.LakeFS,
    proxy: BreakableProxy,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Site]:
    """What the run says to lakeFS goes through the proxy; the test asks lakeFS itself."""
    for name, value in (dict(server.lakectl) | {"LAKECTL_SERVER_ENDPOINT_URL": proxy.endpoint}).items():
        monkeypatch.setenv(name, value)
    lake = open_lake(None, project.root, server.lakectl, project.root)
    yield Site(project, lake, f"{request.node.originalname}-{secrets.token_hex(2)}", cli)
    lake.close()


def protect(server: services.LakeFS, site: Site, pattern: str) -> None:
    """A rule that keeps everybody from writing to branches of that name directly. lakeFS takes seconds to obey it."""
    keys = urllib3.make_headers(basic_auth=f"{server.access_key_id}:{server.secret_access_key}")
    address = f"{server.endpoint}/api/v1/repositories/{site.repository}/settings/branch_protection"
    rules = [{"pattern": pattern}, {"pattern": "probe"}]
    assert urllib3.PoolManager(headers=keys).request("PUT", address, json=rules).status == 204
    site.lake.create_branch(site.repository, "probe", "main")

    def obeyed() -> bool:
        try:
            site.lake.put(site.repository, "probe", "probe", io.BytesIO(b""))
        except LakeRefused:
            return True
        return False

    wait_for(obeyed)


def test_a_protected_target_takes_a_merge_alone(site: Site, server: services.LakeFS) -> None:
    protect(server, site, "main")
    said = site.run("--merge")
    assert said.code == 0, said.err
    assert site.shown() == WHOLE


def test_no_branch_may_be_written_to(site: Site, server: services.LakeFS) -> None:
    protect(server, site, "run-*")
    said = site.run("--merge")
    [item] = site.project.record.published
    assert said.err.endswith(
        f'error: outputs.predictions is not published: the branch "{item.branch}" of the repository "{site.repository}" is protected\n'
        f"hint: what the run wrote stays on lakefs://{site.repository}/{item.branch}; `reprolock data` shows, commits and merges it\n"
    )
    assert said.code == 9
    assert (item.commit, site.shown()) == (None, {"README": b"about"})
    assert site.project.stored().info.status == "FINISHED"


@pytest.mark.parametrize(
    "call",
    [
        "POST /api/v1/repositories/{repository}/branches/{branch}/commits",
        "POST /api/v1/repositories/{repository}/tags",
        "POST /api/v1/repositories/{repository}/refs/{branch}/merge/main",
        "DELETE /api/v1/repositories/{repository}/branches/{branch}",
    ],
    ids=["commit", "tag", "merge", "delete"],
)
def test_an_answer_that_is_lost(site: Site, proxy: BreakableProxy, call: str) -> None:
    def set_trap() -> None:
        proxy.cut_answer_to = call.format(repository=site.repository, branch=site.own_branches[0]).encode()

    with meanwhile(site, set_trap):
        said = site.run("--tag", "v1", "--merge")
    assert said.code == 0, said.err
    assert proxy.cuts == 1
    [item] = site.project.record.published
    assert (item.tag, item.merged, item.problem) == ("v1", site.head(), None)
    assert site.head("v1") == item.commit
    assert (site.shown(), site.own_branches) == (WHOLE, [])
    # Each was done once: the put of README, the run's commit, the merge.
    assert len(list(site.lake.ancestors(site.repository, "main"))) == 3


@pytest.mark.parametrize("who", ["lakeFS", "MinIO"])
def test_a_restart_in_the_middle(site: Site, server: services.LakeFS, storage: services.MinIO, who: str) -> None:
    """Killed while the outputs are on their way, and back after a second."""
    site.project.script(
        "from pathlib import Path\nfolder = Path('out/predictions')\nfolder.mkdir(parents=True)\n"
        "for number in range(400):\n    (folder / f'{number:03d}').write_text(str(number))\n"
    )

    def kill_it() -> None:
        wait_for(lambda: any(sum(1 for _ in site.lake.list(site.repository, name)) > 20 for name in site.own_branches))
        with services.killed((server if who == "lakeFS" else storage).server, back_after=1):
            pass

    with ThreadPoolExecutor(1) as pool:
        killing = pool.submit(kill_it)
        said = site.run("--merge")
        killing.result()
    assert said.code == 0, said.err
    assert site.shown() == {"README": b"about"} | {f"predictions/{number:03d}": b"%d" % number for number in range(400)}


def test_lakefs_is_away_when_the_command_ends(site: Site, server: services.LakeFS) -> None:
    with meanwhile(site, lambda: server.server.stop(signal.SIGKILL)):
        said = site.run("--tag", "v1", "--merge")
    server.server.start()
    [item] = site.project.record.published
    assert said.code == 5
    message = said.err.splitlines()[-2]
    assert message.startswith("error: outputs.predictions is not published: no answer from lakeFS at http://127.0.0.1:")
    assert item.problem is not None and item.problem.startswith("no answer from lakeFS at")
    assert (item.commit, item.tag, item.merged) == (None, None, None)
    assert site.shown() == {"README": b"about"}
    assert site.own_branches == [item.branch]
    assert site.project.record.status == site.project.stored().info.status == "FINISHED"
