"""A stack where no server can be started, or none has to be: programs, ports, keys, processes of other people."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
import urllib.request
from pathlib import Path

import psutil
import pytest
import yaml
from command_line import Cli
from project import wait_for

from reprolock.engine.process_tree import MARKER
from reprolock.errors import MachineError, UsageError
from reprolock.stack.files import Keys, Seen, make_keys, read_keys, read_seen, stack_folder, write_seen
from reprolock.stack.ports import choose_ports
from reprolock.stack.process import end, free_ports, is_running
from reprolock.stack.programs import MODULES, find_programs
from reprolock.stack.servers import STORES, Site, servers_on
from reprolock.steps.project.machine import Machine

ROOT = Path(__file__).parents[2]


def test_nothing_was_ever_started(cli: Cli, tmp_path: Path) -> None:
    said = cli("stack", "status")
    assert said == (0, "MinIO   down  never started\nlakeFS  down  never started\nMLflow  down  never started\n", "")
    assert cli("stack", "down") == (0, "The stack was not running.\n", "")
    said = cli("stack", "env")
    assert (said.code, said.out) == (5, "")
    assert said.err == f"error: the stack in {tmp_path}/.reprolock/stack is not up\nhint: run `reprolock stack up`\n"
    assert cli("stack", "logs") == (0, "", "")
    assert list(tmp_path.iterdir()) == []


def test_no_boto3(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    assert cli("stack", "up") == (
        8,
        "",
        "error: MLflow's server, which keeps artifacts in an object store, needs boto3, which is not installed beside reprolock\n"
        'hint: run `pip install "reprolock[stack]"`, or with uv `uv pip install "reprolock[stack]"`\n',
    )


def test_no_programs(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setenv("REPROLOCK_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    if (Path(sys.executable).parent / "lakefs").exists():
        pytest.skip("lakeFS stands beside Python here, and is found")
    said = cli("stack", "up")
    assert said == (
        8,
        "",
        "error: `minio` and `lakefs` are not on PATH\n"
        "hint: install MinIO (`go install github.com/minio/minio@latest`) and lakeFS (`python -m lakefs.download`, or a release "
        "from https://docs.lakefs.io), or let `reprolock stack up --install` do it\n",
    )
    said = cli("stack", "up", "--install")
    assert said == (
        8,
        "",
        "error: MinIO is installed with `go install`, and there is no `go` on PATH\n"
        "hint: install Go from https://go.dev/dl, or MinIO by another way, and try again\n",
    )
    assert not stack_folder(tmp_path).exists()


def test_a_store_that_is_downloaded(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    lakefs = tmp_path / "bin" / "lakefs"
    lakefs.write_text("")
    lakefs.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("REPROLOCK_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    for options in ([], ["--install"]):
        assert cli("stack", "up", "--store", "seaweedfs", *options) == (
            8,
            "",
            "error: `weed` is not on PATH\n"
            "hint: install SeaweedFS (a release from https://github.com/seaweedfs/seaweedfs/releases)\n",
        )


def test_a_way_of_installing_that_fails(tmp_path: Path) -> None:
    """`go install` itself, kept from every network and cache."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("no `go` on PATH")
    environ = {"PATH": str(Path(go).parent), "HOME": str(tmp_path), "REPROLOCK_CACHE_DIR": str(tmp_path / "cache")}
    environ |= {"GOPROXY": "off", "GOMODCACHE": str(tmp_path / "modules"), "GOCACHE": str(tmp_path / "built")}
    here = Machine(environ, tmp_path, 2, Path(sys.executable))
    heard: list[str] = []
    with pytest.raises(MachineError) as error:
        find_programs("minio", here, install=True, tell=heard.append)
    assert heard == ["Building MinIO with `go install` (some minutes, once)"]
    assert error.value.message.startswith("`go install` failed: ")
    assert "disabled by GOPROXY=off" in error.value.message
    assert error.value.hint == "install `minio` by hand, put it on PATH and try again"


def test_make_and_stack_install_the_same_minio() -> None:
    version = MODULES["minio"].rpartition("@")[2]
    assert f"MINIO_VERSION := {version}\n" in (ROOT / "Makefile").read_text()


def test_a_port_that_somebody_has(cli: Cli, tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        said = cli("stack", "up", "--lakefs-port", str(port))
    assert said == (
        8,
        "",
        f"error: port {port} (--lakefs-port) is taken\nhint: name another port, or none: a free one is found\n",
    )
    said = cli("stack", "up", "--lakefs-port", "9000", "--store-port", "9000")
    assert said == (2, "", "error: port 9000 is given twice\nhint: name another port, or none: a free one is found\n")
    assert not stack_folder(tmp_path).exists()


def test_ports_are_those_of_the_time_before() -> None:
    first, second, third = free_ports(3)
    servers = servers_on("minio")
    before = {"store": Seen(first), "lakefs": Seen(second), "mlflow": Seen(third)}
    assert choose_ports(servers, {}, before, ()) == {"store": first, "lakefs": second, "mlflow": third}
    assert choose_ports(servers, {"mlflow": third}, before, {"store"})["mlflow"] == third
    with socket.socket() as other:
        other.bind(("127.0.0.1", second))
        other.listen()
        assert choose_ports(servers, {}, before, ())["lakefs"] not in (first, second, third)
        with pytest.raises(MachineError) as taken:
            choose_ports(servers, {}, before, {"store"})
    assert taken.value.message == f"port {second} of lakeFS is taken by another program"
    with pytest.raises(UsageError) as other_port:
        choose_ports(servers, {"mlflow": 4}, before, {"store"})
    assert other_port.value.message == f"the stack is up with MLflow on port {third}, and --mlflow-port says 4"


def test_keys_are_for_their_owner_alone(tmp_path: Path) -> None:
    keys = make_keys(tmp_path)
    folder = stack_folder(tmp_path)
    assert read_keys(folder) == keys
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "keys.json").stat().st_mode) == 0o600
    assert repr(keys) == "Keys()"
    assert keys != make_keys(tmp_path / "other")


@pytest.mark.parametrize("text", ["{", "[]", '{"store_user": "x"}', "null", b"\xff"])
def test_damaged_keys(cli: Cli, tmp_path: Path, text: str | bytes) -> None:
    make_keys(tmp_path)
    path = stack_folder(tmp_path) / "keys.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    said = cli("stack", "env")
    assert (said.code, said.out) == (8, "")
    assert said.err == (
        f"error: {path} is damaged\n"
        "hint: `reprolock stack down --purge` removes the stack with its data, `reprolock stack up` makes a new one\n"
    )
    assert cli("stack", "down", "--purge") == (0, "The stack was not running.\nIts data was removed.\n", "")
    assert not stack_folder(tmp_path).exists()


def test_lost_keys(tmp_path: Path) -> None:
    make_keys(tmp_path)
    folder = stack_folder(tmp_path)
    (folder / "lakefs" / "metadata").mkdir(parents=True)
    (folder / "keys.json").unlink()
    with pytest.raises(MachineError) as error:
        read_keys(folder)
    assert error.value.message == f"{folder}/keys.json is gone, and the stack's data cannot be read without it"


def test_somebody_elses_process_is_left_alone(cli: Cli, tmp_path: Path) -> None:
    """Its ID is that of a server that ended; its start is not."""
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as other:
        try:
            make_keys(tmp_path)
            started = psutil.Process(other.pid).create_time()
            seen = Seen(free_ports(1)[0], other.pid, started - 60)
            write_seen(stack_folder(tmp_path), {"store": seen})
            assert not is_running(seen)
            assert is_running(seen._replace(started=started))
            assert cli("stack", "status").out.splitlines()[0] == f"MinIO   down  http://127.0.0.1:{seen.port}"
            assert cli("stack", "down") == (0, "The stack was not running.\n", "")
            assert other.poll() is None
            assert read_seen(stack_folder(tmp_path)) == {"store": Seen(seen.port)}
        finally:
            other.kill()


def test_what_a_crashed_server_left_is_ended(tmp_path: Path) -> None:
    """Known by its marker, for its parent is gone and nothing is written about it."""
    environ = {"PATH": os.environ["PATH"], MARKER: str(tmp_path)}
    argv = ["sh", "-c", "sleep 60 <&- >&- & echo begun; wait"]
    with subprocess.Popen(argv, env=environ, stdout=subprocess.PIPE, start_new_session=True) as parent:
        assert parent.stdout and parent.stdout.readline() == b"begun\n"
        parent.kill()
    left = [process for process in psutil.process_iter() if _marked(process, tmp_path)]
    assert len(left) == 1
    assert end(tmp_path, None)
    assert not left[0].is_running() or left[0].status() == psutil.STATUS_ZOMBIE


def _marked(process: psutil.Process, folder: Path) -> bool:
    try:
        return process.environ().get(MARKER) == str(folder) and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def test_data_of_another_store(cli: Cli, tmp_path: Path) -> None:
    (stack_folder(tmp_path) / "store" / "versitygw" / "lakefs").mkdir(parents=True)
    assert cli("stack", "status").out.splitlines()[0] == "VersityGW  down  never started"
    assert cli("stack", "up", "--store", "minio") == (
        2,
        "",
        f"error: the stack in {stack_folder(tmp_path)} keeps its data in VersityGW, and --store says minio\n"
        "hint: `reprolock stack down --purge` removes it with its data; leave --store out to go on with it\n",
    )


def test_damaged_notes_tell_nothing(tmp_path: Path) -> None:
    make_keys(tmp_path)
    (stack_folder(tmp_path) / "servers.json").write_text('{"store": {"pid": 1}}')
    assert read_seen(stack_folder(tmp_path)) == {}


@pytest.mark.parametrize("store", STORES)
def test_no_argument_carries_a_key(store: str) -> None:
    keys = Keys(*(f"key-{number}-of-six" for number in range(6)))
    site = Site(
        Path("/x"),
        store,
        {"store": 1, "lakefs": 2, "mlflow": 3},
        keys,
        {name: Path(name) for name in ("store", "lakefs", "python")},
        range(4, 4 + STORES[store].inner),
    )
    for server in servers_on(store):
        assert "key-" not in " ".join(server.arguments(site))
        assert "-of-six" in " ".join(server.variables(site).values())


class TestCompose:
    """examples/stack/compose.yaml, for people with Docker."""

    text = (ROOT / "examples" / "stack" / "compose.yaml").read_text()
    services = yaml.safe_load(text)["services"]

    def test_its_first_command_makes_every_key(self, tmp_path: Path) -> None:
        comment = [line.removeprefix("#").strip() for line in self.text.splitlines() if line.startswith("#")]
        first = next(index for index, line in enumerate(comment) if line.startswith("(umask"))
        subprocess.run(["sh", "-c", "\n".join(comment[first : first + 3])], cwd=tmp_path, check=True)
        made = dict(line.split("=") for line in (tmp_path / ".env").read_text().splitlines())
        assert made.keys() == set(re.findall(r"\$\{(\w+):\?make \.env first\}", self.text))
        assert all(re.fullmatch("[0-9a-f]{40}", value) for value in made.values())
        assert len(set(made.values())) == len(made)
        assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600

    def test_it_holds_no_key_and_listens_on_loopback(self) -> None:
        for service in self.services.values():
            assert all(port.startswith("127.0.0.1:") for port in service["ports"])
            for name, value in service["environment"].items():
                if re.search("KEY|PASSWORD|ROOT_USER", name):
                    assert re.fullmatch(r"\$\{\w+:\?make \.env first\}", value), name

    def test_it_sets_what_the_stack_sets(self) -> None:
        """But for where the servers are, and whose folders are used."""
        site = Site(Path("/x"), "minio", {"store": 1, "lakefs": 2, "mlflow": 3}, Keys(*"abcdef"), {})
        own = {"HOME", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "PYTHONSAFEPATH"}
        for server in servers_on("minio"):
            wanted = server.variables(site)
            found = self.services["minio" if server.name == "store" else server.name]["environment"]
            assert wanted.keys() - own == found.keys() - {"LAKEFS_BLOCKSTORE_S3_PRE_SIGNED_ENDPOINT"}
            for name, value in found.items():
                if "$" not in value and not re.search("ADDRESS|ENDPOINT|PATH|DIR$", name):
                    assert value == wanted[name], name


def test_status_as_json(cli: Cli, tmp_path: Path) -> None:
    found = json.loads(cli("stack", "status", "--json").out)
    assert found["up"] is False
    assert found["servers"][1] == {
        "name": "lakefs",
        "title": "lakeFS",
        "state": "down",
        "endpoint": None,
        "pid": None,
        "log": str(tmp_path / ".reprolock/stack/lakefs/log"),
    }


def test_mlflow_imports_nothing_from_its_folder(tmp_path: Path) -> None:
    """A repository may have put files there."""
    folder = tmp_path / "mlflow"
    folder.mkdir()
    for name in ("mlflow", "uvicorn", "flask", "json"):
        (folder / f"{name}.py").write_text(f'open({str(tmp_path / "executed")!r}, "w").close()\n')
    [port] = free_ports(1)
    site = Site(
        tmp_path, "minio", {"store": 1, "lakefs": 2, "mlflow": port}, Keys(*"abcdef"), {"python": Path(sys.executable)}
    )
    server = next(server for server in servers_on("minio") if server.name == "mlflow")
    environ = dict(os.environ) | dict(server.variables(site))
    with subprocess.Popen(server.arguments(site), cwd=folder, env=environ, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for(lambda: process.poll() is not None or _answers(f"{site.endpoint('mlflow')}{server.health}"))
            assert process.poll() is None
        finally:
            process.terminate()
    assert not (tmp_path / "executed").exists()


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
