"""A training from claim to publication. Subject: seq of the model version. Next: `training_data`, then `following`.

How it may end: TRAINED in one transaction with its results; FAILED with cause and remedy, also for a cancel, which
keeps the checkpoint; back in the queue, when this worker is drained, or the engine crashed and attempts are left; or
without a trace, when the version was deleted.
"""

import contextlib
import logging
import shutil
from collections.abc import Sequence

from sqlalchemy import Connection

from luthier.errors import CorruptFile, DiskFull, LuthierError
from luthier.runs import launch
from luthier.runs.events import Failed
from luthier.runs.run import RunFolder
from luthier.store import calibrations, devices, jobs, versions
from luthier.store.jobs import Job, LeaseLost
from luthier.store.versions import Version
from luthier.worker import checkpoints, publication, reasons
from luthier.worker.device import device_kind
from luthier.worker.following import Ending, Seen, follow
from luthier.worker.lease import Interrupted, Why
from luthier.worker.run_log import LogCopy, note
from luthier.worker.training_data import prepare_run
from luthier.worker.work import Work

log = logging.getLogger(__name__)


class TrainingJob:
    kind = "training"

    def run(self, work: Work) -> None:
        version = _begin(work)
        if version is None:  # deleted while it waited
            with work.database.write() as connection:
                jobs.cancelled(connection, work.job)
            return
        try:
            work.lease.check()
            run = prepare_run(work, version)
        except Interrupted as interrupted:
            _interrupted(work, version, interrupted.why, Seen())
        except LuthierError as error:
            _failed(work, version, reasons.of_error(error), retry=isinstance(error, DiskFull))
        else:
            _train(work, version, run)

    def gave_up(self, connection: Connection, job: Job, why: Sequence[str]) -> None:
        if job.subject is not None:
            versions.to_failed(connection, job.subject, reasons.of_all(why))

    def close(self) -> None:
        """Holds nothing."""


def _begin(work: Work) -> Version | None:
    with work.database.write() as connection:
        jobs.require(connection, work.job)
        version = versions.by_seq(connection, work.job.subject) if work.job.subject is not None else None
        if version is None:
            return None
        versions.to_training(connection, version.seq, run_folder=version.id, details="preparing the data")
    return version


def _train(work: Work, version: Version, run: RunFolder) -> None:
    finished = publication.finished_before(run)
    if finished is not None:  # the worker that saw it finish died before it could publish
        _publish(work, version, run, finished)
        return
    if work.job.attempt > 1:
        note(run, f"Attempt {work.job.attempt}, on {work.worker}.")
        launch.end_predecessor(run)
    ending = follow(work, version, work.standby.start(run))
    if ending.gone:
        _forget(work, run)
    elif ending.why is Why.LOST:
        log.warning("job %d was lost to another worker", work.job.seq)
    elif ending.seen.finished is not None:
        _publish(work, version, run, ending.seen)
    elif ending.why is not None:
        _interrupted(work, version, ending.why, ending.seen)
    else:
        _ended_badly(work, version, run, ending)


def _publish(work: Work, version: Version, run: RunFolder, seen: Seen) -> None:
    """TRAINED, with checkpoint, metrics, calibration, and the job's end: all of it or nothing."""
    try:
        published = publication.of(run, seen)
    except CorruptFile as error:
        shutil.rmtree(run.path / checkpoints.BEST, ignore_errors=True)
        run.report_file.unlink(missing_ok=True)
        _failed(work, version, reasons.of_error(error), retry=True)
        return
    calibration = publication.calibration(work.settings, version, run.spec(), seen)
    with work.database.write() as connection:
        jobs.finish(connection, work.job)
        done = (published.checkpoint, published.results, published.input_count)
        there = versions.to_trained(connection, version.seq, *done)
        if there and calibration is not None:
            calibrations.record(connection, calibration)
            devices.seen(connection, work.worker, calibration.device, device_kind(calibration.device))
    if not there:
        _remove_if_deleted(work, version, run)


def _interrupted(work: Work, version: Version, why: Why, seen: Seen) -> None:
    if why is Why.CANCELLED:
        _cancelled(work, version, seen)
    elif why is Why.DRAINED:
        with work.database.write() as connection:
            jobs.release(connection, work.job)
            versions.back_to_queue(connection, version.seq, f"interrupted {seen.where}; goes on when a worker is free")


def _cancelled(work: Work, version: Version, seen: Seen) -> None:
    run = work.run_folder(version.id)
    checkpoint = checkpoints.usable(run, seen.stopped.checkpoint if seen.stopped else "")
    details = f"cancelled by {work.lease.cancelled_by or 'its owner'} {seen.where}"
    kept = " The last checkpoint is kept." if checkpoint else ""
    if run.path.exists():
        note(run, f"{details[0].upper()}{details[1:]}.{kept}")
    copy = LogCopy(run, version.seq)
    with work.database.write() as connection:
        jobs.cancelled(connection, work.job)
        there = versions.to_failed(connection, version.seq, details, {}, checkpoint=checkpoint)
        if there:
            copy.find_position(connection)
            copy.store(connection, copy.pending(whole=True))
    if not there:
        _remove_if_deleted(work, version, run)


def _ended_badly(work: Work, version: Version, run: RunFolder, ending: Ending) -> None:
    failed = ending.seen.failed
    if failed is None:
        _failed(work, version, reasons.of_exit(ending.returncode, _log_tail(run)), retry=True)
    else:
        reason = reasons.coded(failed.code, failed.reason, failed.details)
        _failed(work, version, reason, retry=failed.retryable, event=failed)


def _failed(work: Work, version: Version, reason: str, *, retry: bool, event: Failed | None = None) -> None:
    """FAILED, or back in the queue where another attempt may help."""
    run = work.run_folder(version.id)
    results = {"skipped": event.invalid} if event and event.invalid else {}
    checkpoint = checkpoints.usable(run)
    with work.database.write() as connection:
        state = jobs.fail(connection, work.job, reason, retry)
        if state is jobs.State.QUEUED:
            versions.back_to_queue(connection, version.seq, f"will be tried again: {reason}")
            return
        why = jobs.reasons(connection, work.job.seq) if retry else [reason]
        details = reasons.of_all(why)
        there = versions.to_failed(connection, version.seq, details, results, checkpoint=checkpoint)
        if there:
            _last_words(connection, run, version, details)
    if not there:
        _remove_if_deleted(work, version, run)


def _last_words(connection: Connection, run: RunFolder, version: Version, details: str) -> None:
    if run.path.exists():
        note(run, f"The training has failed. {details}")
        copy = LogCopy(run, version.seq)
        copy.find_position(connection)
        copy.store(connection, copy.pending(whole=True))


def _forget(work: Work, run: RunFolder) -> None:
    """The version is gone: so is its run."""
    with contextlib.suppress(LeaseLost), work.database.write() as connection:
        jobs.cancelled(connection, work.job)
    _remove(run)


def _remove_if_deleted(work: Work, version: Version, run: RunFolder) -> None:
    with work.database.read() as connection:
        there = versions.by_seq(connection, version.seq) is not None
    if not there:
        _remove(run)


def _remove(run: RunFolder) -> None:
    shutil.rmtree(run.path, ignore_errors=True)


def _log_tail(run: RunFolder) -> str:
    if not run.log_file.exists():
        return ""
    return "\n".join(run.log_file.read_text(encoding="utf-8", errors="replace").splitlines()[-20:])
