"""`Reporter`: logs a run's record to MLflow, while the command runs where possible, and keeps on disk what cannot be sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

from reprolock.errors import MachineError, ReprolockError
from reprolock.files.atomic_write import own_folder, write_whole
from reprolock.model.outcome import Ending, Status
from reprolock.model.record import ChildRecord, Record
from reprolock.model.spec import Spec
from reprolock.steps.recording.build import ended_early
from reprolock.tracker.mlflow_tracker import record_bytes
from reprolock.tracker.outbox import Outbox, log_or_keep
from reprolock.tracker.protocol import RECORD, Tracker
from reprolock.tracker.tracking_uri import Place, sqlite_uri


def offline_place(root: Path) -> Place:
    """Where the command's own MLflow calls go with --offline."""
    return Place(sqlite_uri(root / ".reprolock/offline/mlflow.db"), "--offline", root)


class Reporter:
    """One run's way to MLflow. What goes wrong after `create` ends no run: it is told to `warn`, and the
    record stays in the outbox.

    Offline the command's own MLflow calls go to a database in the project's own folder, and the record waits for
    `sync`, which brings its metrics along.
    """

    def __init__(self, root: Path, tracker: Tracker, *, online: bool, warn: Callable[[str], None]) -> None:
        """`tracker` is the one that the command logs to: MLflow's, or with `online=False` the project's own."""
        self.tracker = tracker
        self.outbox = Outbox(own_folder(root) / "outbox")
        self.online = online
        self.warn = warn
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="record")
        self._beside: Future[Record] | None = None
        self._opened: tuple[Record, Path, Mapping[str, Path]] | None = None

    def create(self, spec: Spec, name: str | None, started: datetime, token: str) -> str:
        """The run's ID, which is MLflow's. ServiceError when MLflow is down. `token` finds it until that is known here."""
        return self.tracker.create(spec.experiment, name, started, token, again=False)

    def command_environment(self, run_id: str, experiment: str) -> dict[str, str]:
        """Variables by which the command's own MLflow calls reach the run."""
        return self.tracker.command_environment(run_id, experiment)

    def abandon(self, run_id: str, problem: BaseException, ended: datetime, redact: Callable[[str], str] = str) -> bool:
        """End a run whose command never started, or whose end could not be recorded: FAILED, or KILLED by Ctrl-C.

        `redact` takes secrets out of the message. False where neither MLflow nor the outbox could be told: a later
        command has to do it.
        """
        status: Status = "KILLED" if isinstance(problem, KeyboardInterrupt) else "FAILED"
        reason = "Ctrl-C" if status == "KILLED" else redact(str(problem) or type(problem).__name__)
        self._pool.shutdown()
        try:
            if self._opened is None:
                self.tracker.end(run_id, status, reason, ended)
            else:
                record, folder, files = self._opened
                if record.status == "RUNNING":
                    record = ended_early(record, Ending(status, None, None, reason, record.started, ended))
                self.close(record, folder, files)
        except ReprolockError as error:
            self.warn(f"MLflow still shows the run {run_id[:8]} as running: {error.message}")
            return False
        return True

    def open(
        self, record: Record, folder: Path, files: Mapping[str, Path], complete: Callable[[Record], Record]
    ) -> None:
        """Log the opening record, once `complete` has added what takes a moment to find out, while the command runs.

        It is on disk at once: from there, and the journal, a run is closed whose reprolock was killed.
        """
        write_whole(folder / RECORD, record_bytes(record))
        self._opened = record, folder, files
        self._beside = self._pool.submit(self._open, record, files, complete)

    def opened(self, record: Record) -> Record:
        """Wait until the opening record has been logged, or kept; as it was completed."""
        return self._beside.result() if self._beside else record

    def ended(self, record: Record, folder: Path, files: Mapping[str, Path]) -> None:
        """The command has ended so; nothing is written. Whatever goes wrong from here on, this much is recorded."""
        self._opened = record, folder, files

    def metrics(self, run_id: str) -> dict[str, float] | None:
        """What the command logged to its MLflow run; None, and a warning, where MLflow does not answer."""
        try:
            return self.tracker.metrics(run_id)
        except ReprolockError as error:
            self.warn(f"the metrics that the command logged could not be read: {error.message}")
            return None

    def children(self, run_id: str) -> tuple[ChildRecord, ...]:
        """The MLflow runs that the command started beside its own; none, and a warning, where MLflow does not answer."""
        try:
            found = self.tracker.children(run_id)
        except ReprolockError as error:
            self.warn(f"the MLflow runs that the command started beside its own could not be read: {error.message}")
            return ()
        if found.loose:
            self.warn(
                f"MLflow runs that began meanwhile, and of which nothing says who made them: "
                f"{', '.join(found.loose)}; start runs with mlflow.start_run, and they belong to the run"
            )
        return found.runs

    def close(self, record: Record, folder: Path, files: Mapping[str, Path]) -> bool:
        """Log the closing record; False when it had to be kept on disk. MachineError where that failed too."""
        self._pool.shutdown()
        self._opened = record, folder, files
        try:
            write_whole(folder / RECORD, record_bytes(record))
        except MachineError as error:
            self.warn(str(error))  # a full disk must not keep MLflow from what it can still be told
        return self._log(record, files, "the record is kept in .reprolock/outbox until `reprolock sync`")

    def _open(self, record: Record, files: Mapping[str, Path], complete: Callable[[Record], Record]) -> Record:
        record = complete(record)
        try:
            self._log(record, files, "the opening record is kept in .reprolock/outbox")
        except MachineError as error:
            self.warn(str(error))  # the closing record will have all of it
        return record

    def _log(self, record: Record, files: Mapping[str, Path], kept: str) -> bool:
        if not self.online:
            self.outbox.keep(record, files)
            return False
        sent = log_or_keep(self.tracker, self.outbox, record.run_id, record, files)
        for remark in sent.remarks:
            self.warn(remark)
        if sent.error is not None:
            self.warn(f"{kept}: {sent.error.message}")
        return sent.error is None
