"""A run in one file: written from an embedded lake, audited, replayed and countersigned where there is nothing else."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import bagit
import pytest
import rocrate
from bundling import list_again, members, on_bare_machine, write
from command_line import Cli
from other_versions import environment
from replaying import Made, edit, make
from rocrate.rocrate import ROCrate

import reprolock
from reprolock.errors import NotReplayable, UsageError
from reprolock.files.object_cache import ObjectCache
from reprolock.files.stored_zip import read_directory
from reprolock.model.digest import listing_line, sha256
from reprolock.model.lock import DatasetPin
from reprolock.model.record import Record
from reprolock.model.secrecy import SIGNING_KEY
from reprolock.model.verdict import Verdict
from reprolock.model.workspace import Copied
from reprolock.signing.keys import new_key
from reprolock.steps.bundling.layout import MANIFEST
from reprolock.steps.bundling.read import Bundle, Places, Unpacked, open_bundle
from reprolock.steps.bundling.write import Written
from reprolock.steps.evidence.audit import audit_folder
from reprolock.steps.evidence.check_bundle import check_bundle
from reprolock.steps.evidence.trust import read_trust
from reprolock.steps.recording.load import Recorded, read_recorded
from reprolock.steps.replaying.compare import compare
from reprolock.steps.replaying.replay import ReplayOptions


class Mail(NamedTuple):
    """A bundle, the author's public key beside it, and the run that both come from."""

    made: Made
    written: Written
    keys: Path

    @property
    def bundle(self) -> Path:
        return self.written.file


TRUST = """\
[keys.author]
public = "{keys}/author.pem.pub"
roles = ["run"]

[keys.auditor]
public = "{keys}/auditor.pem.pub"
roles = ["replay", "review"]

[require]
replay = 1
review = 1
"""


@pytest.fixture(scope="module")
def mail(tmp_path_factory: pytest.TempPathFactory, empty_mlflow: Path) -> Mail:
    folder = tmp_path_factory.mktemp("mail")
    for name in ("author", "auditor"):
        new_key(folder / f"{name}.pem")
    (folder / "trust.toml").write_text(TRUST.format(keys=folder))
    database = folder / "mlflow.db"
    database.write_bytes(empty_mlflow.read_bytes())

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(SIGNING_KEY, str(folder / "author.pem"))
        made = make(folder, f"sqlite:///{database}", folder / "cache")
    root = folder / "bundling"
    root.mkdir()
    written = reprolock.bundle(
        root,
        made.record.run_id,
        lake=f"file:{made.lake}",
        tracking_uri=made.tracking,
        machine=made.machine(),
    )
    return Mail(made, written, folder)


def test_from_a_mail_to_a_countersigned_verdict(mail: Mail, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    bundle = work / "run.zip"
    bundle.write_bytes(mail.bundle.read_bytes())
    trust = ["--trust", str(mail.keys / "trust.toml")]
    key = {SIGNING_KEY: str(mail.keys / "auditor.pem")}

    said = on_bare_machine(work, "audit", "run.zip", *trust)
    assert said.code == 7, said
    assert said.err.startswith("error: verdicts REPRODUCED by 1 key other than the author's are required")

    said = on_bare_machine(work, "replay", "run.zip", *trust, **key)
    assert said.code == 0, said.err
    assert "REPRODUCED   4 of 4 compared" in said.out
    said = on_bare_machine(work, "sign", "run.zip", "--name", "Ada Lovelace", **key)
    assert said.code == 0, said.err

    said = on_bare_machine(work, "audit", "run.zip", *trust)
    assert said.code == 0, said.err
    assert "TRUSTED   1 of 1 verdict, 1 of 1 review" in said.out
    assert "2 objects, 20 B, pinned before the run, every byte here" in said.out
    assert "1 package" in said.out and "pinned before the run, every file here" in said.out
    assert "is not in the bundle" in said.out
    assert bundle.read_bytes() == mail.bundle.read_bytes()
    assert len((work / "run.attestations.jsonl").read_bytes().splitlines()) == 4
    assert not list((work / ".reprolock" / "replays").glob("*/bundle"))


def test_standards_read_it(mail: Mail, tmp_path: Path) -> None:
    subprocess.run(["unzip", "-q", str(mail.bundle), "-d", str(tmp_path / "bag")], check=True)
    bagit.Bag(str(tmp_path / "bag")).validate()
    crate = ROCrate(str(tmp_path / "bag" / "data"))
    assert {"record.json", "repro.toml", "repro.lock", "code.tar.gz"} <= {item.id for item in crate.get_entities()}
    assert "https://w3id.org/ro/wfrun/process/0.5" in json.dumps(crate.metadata.generate())
    # A listing is its own proof, and an object's name is its SHA-256.
    pinned = mail.made.record.datasets[0].digest.partition(":")[2]
    assert sha256((tmp_path / "bag/data/datasets/train.jsonl").read_bytes()) == pinned
    for file in (tmp_path / "bag/data/objects").iterdir():
        assert sha256(file.read_bytes()) == file.name
    parts = sum(file.stat().st_size for file in (tmp_path / "bag").rglob("*") if file.is_file())
    assert mail.bundle.stat().st_size < parts + 300 * len(members(mail.bundle))


WITH_CONTEXT = """\
import io, sys
import urllib3
from requests.adapters import HTTPAdapter
from requests_cache import CachedSession

cache, context = sys.argv[1:]


class FromFile(HTTPAdapter):
    def send(self, request, **_):
        body, kind = io.BytesIO(open(context, "rb").read()), {"Content-Type": "application/ld+json"}
        return self.build_response(
            request, urllib3.HTTPResponse(body, kind, 200, preload_content=False, request_url=request.url)
        )


session = CachedSession(cache, expire_after=-1)
session.mount("https://", FromFile())
session.get("https://w3id.org/ro/crate/1.1/context")
"""
"""Puts the terms of RO-Crate, as its library has them, where the validator looks for them without a network."""


def test_the_validator_of_ro_crates_takes_it(mail: Mail, tmp_path: Path) -> None:
    """With all parts, and without objects and packages: a crate names nothing that it does not hold."""
    programs = environment("roc-validator")
    context = Path(rocrate.__file__).parent / "data" / "ro-crate.jsonld"
    subprocess.run([programs / "python", "-c", WITH_CONTEXT, tmp_path / "cache", context], check=True)
    made = mail.made
    thin = reprolock.bundle(
        tmp_path,
        str(made.artifacts),
        tmp_path / "thin.zip",
        thin=True,
        lake=f"file:{made.lake}",
        machine=made.machine(),
    )
    for bundle in (mail.bundle, thin.file):
        bag = tmp_path / bundle.stem
        subprocess.run(["unzip", "-q", str(bundle), "-d", str(bag)], check=True)
        options = ["-y", "validate", "--offline", "--cache-path", tmp_path / "cache", "--no-paging"]
        report = tmp_path / f"{bundle.stem}.json"
        subprocess.run(
            [programs / "rocrate-validator", *options, "-f", "json", "-o", report, bag / "data"], capture_output=True
        )
        found = json.loads(report.read_text())
        assert (found["passed"], found["issues"]) == (True, [])


@pytest.fixture
def read(mail: Mail, tmp_path: Path) -> Callable[[Path], Unpacked]:
    """Everything that is checked of a bundle before a replay."""
    with open_bundle(mail.bundle) as bundle:
        recorded = read_recorded(bundle.artifacts(tmp_path / "artifacts"), tmp_path / "code", None)

    def look(path: Path) -> Unpacked:
        with open_bundle(path) as bundle:
            return bundle.unpack(recorded, None)

    return look


def test_each_flipped_byte_is_found(mail: Mail, read: Callable[[Path], Unpacked], tmp_path: Path) -> None:
    whole = mail.bundle.read_bytes()
    assert read(mail.bundle) == Unpacked(2, 1, 0, frozenset({"alpha"}), {})
    path = tmp_path / "flipped.zip"
    for at in range(0, len(whole), 11):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x20]) + whole[at + 1 :])
        with pytest.raises(NotReplayable) as error:
            read(path)
        assert error.value.message.startswith(f"{path} is not taken: "), at
    for length in (0, 1, 97, 98, 1000, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(NotReplayable):
            read(path)
    path.write_bytes(whole + b"x")
    with pytest.raises(NotReplayable):
        read(path)


def test_what_somebody_changes_is_named(mail: Mail, read: Callable[[Path], Unpacked], tmp_path: Path) -> None:
    files = members(mail.bundle)
    [packed] = [name for name in files if name.startswith("data/packages/")]
    item = next(name for name in files if name.startswith("data/objects/"))
    other = f"data/objects/{sha256(b'other')}"
    digests = "data/datasets/train.sha256"
    listed = [json.loads(line)[0] for line in files["data/datasets/train.jsonl"].splitlines()]
    named = listed[files[digests].decode().splitlines().index(item[-64:])]

    def renamed(old: str, new: str) -> dict[str, bytes]:
        return {new if name == old else name: data for name, data in files.items()}

    def without(gone: str) -> dict[str, bytes]:
        return {name: data for name, data in files.items() if name != gone}

    swapped = {
        **without(item),
        other: b"other",
        digests: files[digests].replace(item[-64:].encode(), other[-64:].encode()),
    }
    cases = {
        "record.json is not what its manifest lists": {**files, "data/record.json": b"{}"},
        f"{item} is missing, which a manifest lists": without(item),
        f"{other} is there, and no manifest lists it": {**files, other: b"other"},
        f"{other} is there, and no manifest lists": renamed(item, other),
        "bagit.txt is missing": without("bagit.txt"),
        "manifest-sha256.txt is not what tagmanifest-sha256.txt lists": {**files, MANIFEST: b""},
        'it names "data/sub/x", which no bundle has': {**files, "data/sub/x": b""},
        # And with manifests that fit:
        f"{other} belongs to no dataset": list_again({**files, other: b"other"}),
        f"{item} is missing, which repro.lock pins": list_again(without(item)),
        f"{other} is not the object that its dataset lists": list_again(swapped),
        "the listing of dataset train is not the one that": list_again({**files, "data/datasets/train.jsonl": b""}),
        f"the object {named} is not named by its own checksum": list_again(
            {**swapped, digests: swapped[digests].replace(other[-64:].encode(), other[-64:].encode() + b"  opaque")}
        ),
        "data/summary.html is not an artifact of the run": list_again({**files, "data/summary.html": b"REPRODUCED"}),
        f"{packed} is not a file that repro.lock pins": list_again({**files, packed: b"other"}),
        "data/jars/a.jar is not a jar that repro.lock pins": list_again({**files, "data/jars/a.jar": b"other"}),
    }
    for reason, changed in cases.items():
        path = write(tmp_path / "changed.zip", changed.items())
        with pytest.raises(NotReplayable) as error:
            with open_bundle(path) as bundle:
                bundle.artifacts(tmp_path / f"artifacts-{len(list(tmp_path.iterdir()))}")
            read(path)
        assert reason in error.value.message, error.value.message


def _of_parts(data: bytes, size: int) -> str:
    parts = [hashlib.md5(data[start : start + size]).digest() for start in range(0, len(data), size)]
    return hashlib.md5(b"".join(parts)).hexdigest()


LARGE = b"0123456789abcdef" * (7 << 16)
"""7 MiB: S3 may have taken it in parts."""
LAKE = {
    "train/odd": (LARGE, "0" * 32),  # nobody can compute such an ETag
    "train/parts": (LARGE[1:] + b"!", _of_parts(LARGE[1:] + b"!", 6 << 20)),  # of a size that some programs use
    "train/whole": (LARGE[2:] + b"!!", hashlib.md5(LARGE[2:] + b"!!").hexdigest()),
}
"""What a lakeFS lists: bytes and ETag of each object."""


def _lakefs_bundle(mail: Mail, path: Path, objects: dict[str, tuple[bytes, bool]]) -> None:
    """The bundle with the objects of `LAKE` in the place of its own: these bytes, and whether each is marked as opaque."""
    files = {name: data for name, data in members(mail.bundle).items() if not name.startswith("data/objects/")}
    files |= {f"data/objects/{sha256(data)}": data for data, _ in objects.values()}
    lines = [f"{sha256(data)}{'  opaque' if opaque else ''}" for data, opaque in objects.values()]
    files["data/datasets/train.sha256"] = "".join(f"{line}\n" for line in lines).encode()
    files["data/datasets/train.jsonl"] = b"".join(
        listing_line(name, len(data), etag) for name, (data, etag) in LAKE.items()
    )
    write(path, list_again(files).items())


def test_objects_of_a_lakefs(mail: Mail, tmp_path: Path) -> None:
    """Whose checksum says nothing of their bytes stands in the record by its SHA-256; all others are what their checksum says."""
    path = tmp_path / "run.zip"
    with open_bundle(mail.bundle) as bundle:
        made = read_recorded(bundle.artifacts(tmp_path / "artifacts"), tmp_path / "code", None)
    listing = b"".join(listing_line(name, len(data), etag) for name, (data, etag) in LAKE.items())
    [pin] = made.lock.dataset
    fields = {name: getattr(pin, name) for name in type(pin).model_fields if name != "seal"}
    size = sum(len(data) for data, _ in LAKE.values())
    fields |= {"kind": "lakefs", "digest": f"lakefs-etag-1:{sha256(listing)}", "objects": 3, "bytes": size}

    def look(copied: Copied, changed: str = "", marked: tuple[str, ...] = ("train/odd",), **others: Any) -> Unpacked:
        """A bundle in which one byte of an object is another, with names and manifests that fit, beside a record."""
        bytes_of = {
            name: (data[:-1] + b"?" if name == changed else data, name in marked) for name, (data, _) in LAKE.items()
        }
        _lakefs_bundle(mail, path, bytes_of)
        [item] = made.record.datasets
        item = item.replaced({"sha256": dict(copied.sha256), "copied": copied.whole})
        lock = made.lock.replaced({"dataset": (DatasetPin.sealed(**fields | others),)})
        recorded = made._replace(lock=lock, record=made.record.replaced({"datasets": (item,)}))
        with open_bundle(path) as bundle:
            return bundle.unpack(recorded, Places(ObjectCache(tmp_path / "cache"), tmp_path, tmp_path))

    def refused(reason: str, *given: Any, **more: Any) -> None:
        (tmp_path / "alpha-1.0-py3-none-any.whl").unlink(missing_ok=True)
        with pytest.raises(NotReplayable) as error:
            look(*given, **more)
        assert error.value.message.startswith(f"{path} is not taken: ") and error.value.message.endswith(reason)

    known, unknown = Copied(True, {"train/odd": sha256(LARGE)}), Copied()
    assert look(known).unproven == {}
    refused("the object train/odd is not the one that the run was given", known, "train/odd")
    refused("the object train/odd is not the one that the run was given", known, "train/odd", ())
    for name in ("train/parts", "train/whole"):
        refused(" is not the object that its dataset lists", known, name)
        refused(f"the object {name} is not named by its own checksum", known, name, ("train/odd", name))
    refused("the listing of dataset train is not of as much as repro.lock says", known, objects=4)

    # A record made before, or of data that Spark read in place: the bundle's word alone, which is said.
    refused(" is not the object that its dataset lists", unknown, "train/odd", ())
    for changed, marked in (("train/odd", ("train/odd",)), ("train/whole", ("train/odd", "train/whole"))):
        (tmp_path / "alpha-1.0-py3-none-any.whl").unlink(missing_ok=True)
        assert look(unknown, changed, marked).unproven == {"train": len(marked)}
    (tmp_path / "alpha-1.0-py3-none-any.whl").unlink(missing_ok=True)
    # And of one that opened some objects alone: those are known.
    refused("the object train/odd is not the one that the run was given", Copied(False, known.sha256), "train/odd")


def test_a_replay_that_is_given_other_bytes(mail: Mail, tmp_path: Path) -> None:
    """By a lake whose checksums say nothing of them: the record's SHA-256 does, and what it does not have is a remark."""
    with open_bundle(mail.bundle) as bundle:
        made = read_recorded(bundle.artifacts(tmp_path / "artifacts"), tmp_path / "code", None)
    [item] = made.record.datasets

    def given(data: bytes | None) -> Record:
        known = {} if data is None else {"train/odd": sha256(data)}
        return made.record.replaced({"datasets": (item.replaced({"sha256": known}),)})

    def replayed(before: bytes | None, now: bytes) -> Verdict:
        recorded = made._replace(record=given(before))
        return compare(recorded, given(now), tmp_path, python=tmp_path, environ={})

    found = replayed(b"one", b"two")
    assert (found.kind, found.reason) == (
        "NOT REPLAYABLE",
        "dataset train: the bytes of train/odd are not those that the recorded run was given",
    )
    unsure = "train: 1 object checked by size alone"
    assert unsure in replayed(None, b"two").unlocked
    assert unsure not in replayed(b"two", b"two").unlocked


def test_what_an_audit_says_of_what_is_missing(mail: Mail, tmp_path: Path) -> None:
    """With manifests that fit: a package that every platform needs, and bytes that nothing but the bundle names."""
    files = members(mail.bundle)
    [packed] = [name for name in files if name.startswith("data/packages/")]
    path = write(tmp_path / "run.zip", list_again({name: files[name] for name in files if name != packed}).items())
    trust = mail.keys / "alone.toml"
    trust.write_text(f'[keys.author]\npublic = "{mail.keys}/author.pem.pub"\nroles = ["run"]\n')
    found = reprolock.audit(tmp_path, str(path), trust, machine=mail.made.machine())
    assert found.reasons == (f"{path} is not taken: it has no file of alpha, which repro.lock pins",)

    class Opaque(Bundle):
        """A bundle of a lake that encrypts with keys of its own."""

        def unpack(self, recorded: Recorded, places: Places | None) -> Unpacked:
            return super().unpack(recorded, places)._replace(unproven={"train": 1})

    whole = reprolock.audit(tmp_path, str(mail.bundle), trust, machine=mail.made.machine())
    assert whole.outcome == "TRUSTED", whole.reasons
    assert "ro-crate-metadata.json, by which other programs read the bundle, is not signed" in whole.remarks
    with open_bundle(mail.bundle) as bundle:
        recorded = read_recorded(bundle.artifacts(tmp_path / "artifacts"), tmp_path / "code", None)
        alone = audit_folder(tmp_path / "artifacts", read_trust(trust))
        bundle.__class__ = Opaque
        found = check_bundle(alone, bundle, recorded)
    [data] = [claim for claim in found.claims if claim.topic == "data"]
    assert data.by == "2 objects, 20 B, pinned before the run, 1 object only as the bundle says"
    assert (
        "1 object of train: the lake's checksum says nothing about the bytes, record.json has no SHA-256 of them, "
        "so the author of the bundle may have put other bytes there"
    ) in found.remarks


def hostile(path: Path, name: str, data: bytes = b"x", mode: int = 0o100644, method: int = zipfile.ZIP_STORED) -> Path:
    """A ZIP file with one bad member, as any program writes it."""
    with zipfile.ZipFile(path, "w", method) as archive:
        info = zipfile.ZipInfo(name)
        info.external_attr, info.compress_type = mode << 16, method
        archive.writestr(info, data)
    return path


def test_hostile_archives(mail: Mail, cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "bad.zip"

    def refused(reason: str) -> None:
        before = {entry.name for entry in tmp_path.iterdir()}
        for command in (["replay", str(path)], ["audit", str(path), "--trust", str(mail.keys / "trust.toml")]):
            said = cli(*command)
            assert (said.code, said.err.splitlines()) == (
                7,
                [f"error: {path} is not taken: {reason}", "hint: get the bundle again from its author"],
            ), said.err
        assert {entry.name for entry in tmp_path.iterdir()} - before <= {".reprolock", "mlflow.db"}

    names = {
        "../evil": 'it names "../evil", which leads out of its folder',
        "data/../../evil": 'it names "data/../../evil", which leads out of its folder',
        "/etc/passwd": 'it names "/etc/passwd", which is an absolute path',
        "C:/evil": 'it names "C:/evil", which is an absolute path',
        "data/record.json.": 'it names "data/record.json.", which cannot be the name of a file in a bundle',
        "data/CON.txt": 'it names "data/CON.txt", which is a device on Windows',
        "data/\u202egnp": 'it names "data/\\u202egnp", which cannot be the name of a file in a bundle',
    }
    for name, reason in names.items():
        hostile(path, name)
        refused(reason)
        if name.isascii():
            write(path, {**members(mail.bundle), name: b"x"}.items())
            refused(reason)
    hostile(path, "data/link", b"/etc/passwd", 0o120777)
    refused('"data/link" is neither a file nor a folder')
    hostile(path, "data/bomb", bytes(1 << 24), method=zipfile.ZIP_DEFLATED)
    refused('"data/bomb" is compressed, which no file of a bundle is')
    hostile(path, "data/record.json")
    refused("it is a ZIP file that reprolock did not write")
    path.write_bytes(b"PK\3\4 and no more")
    refused("it is not a complete ZIP file")
    for twin, reason in (
        ("data/record.json", 'it names "data/record.json" twice'),
        (
            "data/RECORD.json",
            'it names "data/RECORD.json" beside "data/record.json", which is the same file on other systems',
        ),
    ):
        write(path, [*members(mail.bundle).items(), (twin, b"x")])
        refused(reason)
    write(path, ((f"data/{number}", b"") for number in range(250_000)))
    refused("it holds 250000 files, more than 200000")
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(250_000):
            archive.writestr(zipfile.ZipInfo(f"data/{number}"), b"")
    refused("it holds 250000 files, more than 200000")


def test_wrong_sizes(mail: Mail, read: Callable[[Path], Unpacked], tmp_path: Path) -> None:
    """Two members that overlap, and one that is longer than the file."""
    whole = mail.bundle.read_bytes()
    with mail.bundle.open("rb") as file:
        found = read_directory(file)
    start = sum(len(member.header) + member.size for member in found)
    for member in (found[1]._replace(offset=found[0].offset), found[1]._replace(size=1 << 40)):
        entries = b"".join(item.entry for item in [found[0], member, *found[2:]])
        path = tmp_path / "sizes.zip"
        path.write_bytes(whole[:start] + entries + whole[start + len(entries) :])
        with pytest.raises(NotReplayable, match="is not where its directory says, or not as long"):
            read(path)


def test_what_is_not_bundled(mail: Mail, tmp_path: Path) -> None:
    machine = mail.made.machine()
    with pytest.raises(UsageError, match="is there already"):
        reprolock.bundle(tmp_path, str(mail.made.artifacts), mail.bundle, machine=machine)
    with pytest.raises(UsageError, match="is a bundle already"):
        reprolock.bundle(tmp_path, str(mail.bundle), tmp_path / "x.zip", machine=machine)
    with pytest.raises(UsageError, match='--platform: "amiga" is not a platform of a lock'):
        reprolock.bundle(tmp_path, str(mail.made.artifacts), tmp_path / "x.zip", platforms=["amiga"], machine=machine)
    folder = mail.made.copy(tmp_path / "forged")
    edit(folder, "repro.toml", "rel = 1e-3", "rel = 1e-2")
    with pytest.raises(NotReplayable, match="does not agree with its artifacts"):
        reprolock.bundle(tmp_path, str(folder), tmp_path / "x.zip", machine=machine)
    assert not (tmp_path / "x.zip").exists()


def test_thin(mail: Mail, tmp_path: Path) -> None:
    made = mail.made
    lake = f"file:{made.lake}"
    thin = reprolock.bundle(
        tmp_path, str(made.artifacts), tmp_path / "thin.zip", thin=True, lake=lake, machine=made.machine()
    )
    assert (thin.objects, thin.left_out) == (2, 2)
    fetch = members(thin.file)["fetch.txt"].decode().splitlines()
    commit = made.record.datasets[0].commit
    assert [line.rpartition(" ")[0] for line in fetch] == [
        f"lakefs://example-repo/{commit}/train/a.csv 8",
        f"lakefs://example-repo/{commit}/train/b.csv 12",
    ]
    options = ReplayOptions(tracking_uri=made.tracking, lake=lake)
    done = reprolock.replay(tmp_path, str(thin.file), options, machine=made.machine())
    assert done.verdict is not None and done.verdict.kind == "REPRODUCED"


def test_packages_for_other_platforms(mail: Mail, tmp_path: Path) -> None:
    """Which files those are is held by tests of package_files; a wheel that suits them all is there once."""
    made, names = mail.made, ("linux-aarch64", "macos-arm64")
    bundle = reprolock.bundle(
        tmp_path,
        str(made.artifacts),
        tmp_path / "other.zip",
        platforms=names,
        lake=f"file:{made.lake}",
        machine=made.machine(),
    )
    there = members(bundle.file)
    assert b"Reprolock-Platforms: linux-aarch64,macos-arm64\n" in there["bag-info.txt"]
    assert [name for name in there if name.endswith(".whl")] == ["data/packages/alpha-1.0-py3-none-any.whl"]


def test_a_killed_writer_leaves_nothing_that_counts(mail: Mail, tmp_path: Path) -> None:
    made, target = mail.made, tmp_path / "killed.zip"
    script = f"""
import os, signal, sys
import reprolock.steps.bundling.write as write
add = write._Bundle._put
def killed(self, name, data):
    os.kill(os.getpid(), signal.SIGKILL)
write._Bundle._put = killed
from reprolock.cli.main import run_command_line
run_command_line(["-C", {str(tmp_path)!r}, "bundle", {str(made.artifacts)!r}, "-o", {str(target)!r}, "--lake", "file:{made.lake}"])
"""
    done = subprocess.run([sys.executable, "-c", script], env=dict(made.environ), capture_output=True)
    assert done.returncode == -9 and not target.exists()
    assert len(list(tmp_path.iterdir())) == 1
    reprolock.bundle(tmp_path, str(made.artifacts), target, lake=f"file:{made.lake}", machine=made.machine())
    assert [entry.name for entry in tmp_path.iterdir()] == ["killed.zip"]
    assert target.read_bytes() == mail.bundle.read_bytes()


def test_a_verdict_that_was_signed_of_a_run_that_was_not(mail: Mail, empty_mlflow: Path, tmp_path: Path) -> None:
    """It is replayed again, signed and bundled as any run; an audit says that nothing vouches for the run itself."""
    database = tmp_path / "mlflow.db"
    database.write_bytes(empty_mlflow.read_bytes())
    made = make(tmp_path / "unsigned", f"sqlite:///{database}", tmp_path / "cache")
    options = ReplayOptions(tracking_uri=made.tracking, lake=f"file:{made.lake}")
    machine = made.machine(**{SIGNING_KEY: str(mail.keys / "auditor.pem")})
    root = tmp_path / "root"
    root.mkdir()
    for _ in range(2):
        done = reprolock.replay(root, made.record.run_id, options, machine=machine)
        assert done.verdict is not None and done.verdict.kind == "REPRODUCED"
    reprolock.sign(root, made.record.run_id, name="Ada Lovelace", tracking_uri=made.tracking, machine=machine)
    written = reprolock.bundle(
        root, made.record.run_id, lake=f"file:{made.lake}", tracking_uri=made.tracking, machine=machine
    )
    said = on_bare_machine(root, "audit", str(written.file), "--trust", str(mail.keys / "trust.toml"))
    assert (said.code, said.out) == (7, "")
    assert said.err.splitlines()[0] == (
        f"error: run {made.record.run_id[:12]} is not signed: attestations.jsonl has only what was signed later"
    )
