"""Every table, with what its columns mean. Next: `database` for how transactions run.

A row of an app, dataset, model … is its wire message (`message`, serialised, opaque here) plus the columns it is
looked up by. What is counted, searched or changes alone lives in columns only and is laid over the message when read.
`seq` is a row's number in order of creation: lists page by it, other tables refer to it. Times are Unix seconds.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    true,
)

metadata = MetaData()

SEQ = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by itself only where the type is INTEGER
ID = String(128)


class Note(TypeDecorator[str]):
    """A text for people, whoever wrote it: NUL, which PostgreSQL cannot hold, becomes U+2400."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: object) -> str | None:
        return value.replace("\0", "\u2400") if value else value


def _seq() -> Column[int]:
    return Column("seq", SEQ, primary_key=True, autoincrement=True)


def _table(name: str, *items: Any) -> Table:
    """A table numbered by `seq`. A number is never used again (sqlite_autoincrement): jobs name rows by it."""
    return Table(name, metadata, _seq(), *items, sqlite_autoincrement=True)


def _in(table: str, name: str, *, index: bool = False) -> Column[int]:
    return Column(name, SEQ, ForeignKey(f"{table}.seq", ondelete="CASCADE"), nullable=False, index=index)


def _time(name: str, *, nullable: bool = False) -> Column[float]:
    return Column(name, Float, nullable=nullable)


users = _table(
    "users",
    Column("id", ID, nullable=False, unique=True),
    Column("message", LargeBinary, nullable=False),
    _time("created_at"),
)

tokens = _table(
    "tokens",
    Column("id", ID, nullable=False, unique=True),
    Column("hash", String(64), nullable=False, unique=True),  # SHA-256 of the token, which is kept nowhere
    Column("prefix", String(16), nullable=False),  # its first characters, to recognise it in a list
    _in("users", "user"),
    Column("app", SEQ, ForeignKey("apps.seq", ondelete="CASCADE")),  # set: the token reaches this app alone
    Column("description", Note, nullable=False, default=""),
    Column("scopes", Text, nullable=False),  # JSON list; ["All"] for every scope
    _time("created_at"),
    _time("expires_at", nullable=True),
    _time("revoked_at", nullable=True),
)

apps = _table(
    "apps",
    _in("users", "user"),
    Column("id", ID, nullable=False),
    Column("message", LargeBinary, nullable=False),
    _time("created_at"),
    _time("modified_at"),
    UniqueConstraint("user", "id"),
)

concepts = _table(
    "concepts",
    _in("apps", "app"),
    Column("id", ID, nullable=False),
    Column("name", Text, nullable=False),
    Column("message", LargeBinary, nullable=False),
    _time("created_at"),
    _time("modified_at"),
    UniqueConstraint("app", "id"),
)

input_jobs = _table(  # what one or more PostInputs calls with the same inputs_add_job_id brought in
    "input_jobs",
    _in("apps", "app"),
    Column("id", ID, nullable=False),
    _time("created_at"),
    _time("modified_at"),
    UniqueConstraint("app", "id"),
)

inputs = _table(
    "inputs",
    _in("apps", "app"),
    Column("id", ID, nullable=False),
    Column("kind", String(8), nullable=False),  # image, text, video, audio
    Column("blob", String(64), nullable=False),  # SHA-256 of the bytes; "" until they have been fetched
    Column("size", Integer, nullable=False),  # bytes
    Column("format", String(16), nullable=False),  # JPEG, PNG, GIF, WEBP, BMP, TIFF: by content, whatever the name said
    Column("width", Integer, nullable=False),  # of the upright picture, pixels
    Column("height", Integer, nullable=False),
    Column("split", String(8), nullable=False, default=""),  # train, val, test where metadata.split pins it
    Column("status", Integer, nullable=False),  # wire code: 30001 pending, 30000 good, else its error
    Column("details", Note, nullable=False, default=""),
    Column("message", LargeBinary, nullable=False),  # wire Input without bytes, labels, status and times
    Column("input_job", SEQ, ForeignKey("input_jobs.seq", ondelete="SET NULL")),
    _time("created_at"),
    _time("modified_at"),
    UniqueConstraint("app", "id"),
    Index("inputs_by_app", "app", "seq"),
    Index("inputs_by_status", "app", "status", "seq"),
    Index("inputs_by_job", "input_job", "status"),
    Index("inputs_by_blob", "blob"),
)

input_blocks = Table(  # how many of an app's inputs are in each block of numbers: what finds a far page at once
    "input_blocks",
    metadata,
    Column("app", SEQ, ForeignKey("apps.seq", ondelete="CASCADE"), primary_key=True),
    Column("block", SEQ, primary_key=True, autoincrement=False),  # seq // input_blocks.BLOCK
    Column("inputs", Integer, nullable=False),
)

input_urls = Table(  # inputs that came by URL
    "input_urls",
    metadata,
    Column("input", SEQ, ForeignKey("inputs.seq", ondelete="CASCADE"), primary_key=True),
    _in("apps", "app"),
    Column("hash", String(64), nullable=False),  # SHA-256 of the URL
    Column("url", Text, nullable=False),  # until it has been fetched, then "": it may hold a secret
    Index("input_urls_by_hash", "app", "hash"),
)

uploads = _table(  # files that arrive in parts: data_dir/uploads/SEQ holds the bytes
    "uploads",
    _in("apps", "app"),
    Column("id", ID, nullable=False),
    Column("content_name", Note, nullable=False),
    Column("content_length", BigInteger, nullable=False),  # bytes, as announced
    Column("received", BigInteger, nullable=False, default=0),  # bytes
    Column("status", Integer, nullable=False),  # wire code: 68000 in progress, 68001 done, 68004 expired
    Column("details", Note, nullable=False, default=""),
    _time("created_at"),
    _time("modified_at"),
    _time("expires_at"),
    UniqueConstraint("app", "id"),
    Index("uploads_by_expiry", "status", "expires_at"),
)

upload_parts = Table(  # what has arrived and is on disk; no two overlap
    "upload_parts",
    metadata,
    Column("upload", SEQ, ForeignKey("uploads.seq", ondelete="CASCADE"), primary_key=True),
    Column("range_start", BigInteger, primary_key=True, autoincrement=False),
    Column("length", BigInteger, nullable=False),
    Column("sha", String(64), nullable=False),  # SHA-256, to know the same part again
)

imports = _table(  # inputs made out of an upload, or of files by `luthier import`
    "imports",
    _in("apps", "app"),
    Column("id", ID, nullable=False),  # the wire's extraction job
    _in("input_jobs", "input_job", index=True),
    Column("upload", SEQ, ForeignKey("uploads.seq", ondelete="SET NULL"), index=True),
    Column("request", Text, nullable=False),  # JSON, see `store/imports`
    Column("status", Integer, nullable=False),  # wire code of a job: 64000 queued … 64004 cancelled; 67000 not unpacked
    Column("details", Note, nullable=False, default=""),
    Column("total", Integer, nullable=False, default=0),  # items that were found
    Column("made", Integer, nullable=False, default=0),  # of them new inputs,
    Column("present", Integer, nullable=False, default=0),  # inputs that were there already, the same,
    Column("rejected", Integer, nullable=False, default=0),  # and neither
    _time("created_at"),
    _time("modified_at"),
    UniqueConstraint("app", "id"),
)

import_items = Table(  # what became of each item
    "import_items",
    metadata,
    Column("import_job", SEQ, ForeignKey("imports.seq", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),  # from 1, in the order of the data
    Column("name", Note, nullable=False),  # where it stands: a path, a row
    Column("input_id", ID, nullable=False),  # "" for one that was rejected
    Column("status", Integer, nullable=False),  # wire code, 30000 or why it was rejected
    Column("details", Note, nullable=False, default=""),
)

asked_urls = _table(  # URLs whose bytes a call waits for; it removes them
    "asked_urls",
    Column("kind", String(8), nullable=False),  # image, text or video
    Column("url", Text, nullable=False),  # "" as soon as it is answered
    Column("status", Integer, nullable=False),  # 0 waiting; 30000 or 30001: `blob` is there; else the error's wire code
    Column("details", Note, nullable=False),
    Column("blob", String(64), nullable=False),  # SHA-256 of what came, "" before; the grace time keeps it long enough
    _time("created_at"),
)

annotations = _table(
    "annotations",
    _in("apps", "app"),
    _in("inputs", "input", index=True),
    Column("id", ID, nullable=False),
    Column("user", ID, nullable=False),  # id of the user who made it
    Column("status", Integer, nullable=False),  # wire code, 24150 for one that counts
    Column("own", Boolean, nullable=False),  # True: made with its input; lists show it where all are asked for
    Column("message", LargeBinary, nullable=False),  # wire Annotation without whole-input concepts, status and times
    _time("created_at"),
    _time("modified_at"),
    UniqueConstraint("input", "id"),
    Index("annotations_by_app", "app", "seq"),
)

labels = Table(  # whole-input concepts of annotations: what classifiers learn from
    "labels",
    metadata,
    Column("annotation", SEQ, ForeignKey("annotations.seq", ondelete="CASCADE"), primary_key=True),
    Column("concept", SEQ, ForeignKey("concepts.seq", ondelete="CASCADE"), primary_key=True),
    _in("inputs", "input", index=True),
    Column("value", Integer, nullable=False),  # 1 positive, 0 negative
    Column("counting", Boolean, nullable=False, server_default=true()),  # its annotation has the status that counts
    Index("labels_by_concept", "concept", "value", "counting", "input"),
)

regions = Table(  # what freezing reads of an annotation's regions, beside its message
    "regions",
    metadata,
    Column("annotation", SEQ, ForeignKey("annotations.seq", ondelete="CASCADE"), primary_key=True),
    _in("inputs", "input", index=True),
    Column("rows", Text, nullable=False),  # JSON, see `store/regions`
)

region_labels = Table(  # the concepts of those regions, each once however many regions carry it
    "region_labels",
    metadata,
    Column("annotation", SEQ, ForeignKey("annotations.seq", ondelete="CASCADE"), primary_key=True),
    Column("concept", SEQ, ForeignKey("concepts.seq", ondelete="CASCADE"), primary_key=True),
    Column("kind", String(8), primary_key=True),  # box, polygon, point, mask, span
    Column("value", Integer, primary_key=True, autoincrement=False),  # 1 positive, 0 negative
    _in("inputs", "input", index=True),
    Index("region_labels_by_concept", "concept", "input"),
)

masks = Table(  # the files that masks need
    "masks",
    metadata,
    Column("annotation", SEQ, ForeignKey("annotations.seq", ondelete="CASCADE"), primary_key=True),
    Column("blob", String(64), primary_key=True),  # SHA-256 of a PNG
    Index("masks_by_blob", "blob"),
)

datasets = _table(
    "datasets",
    _in("apps", "app"),
    Column("id", ID, nullable=False),
    Column("message", LargeBinary, nullable=False),
    _time("created_at"),
    _time("modified_at"),
    UniqueConstraint("app", "id"),
)

dataset_inputs = _table(
    "dataset_inputs",
    _in("datasets", "dataset"),
    _in("inputs", "input", index=True),
    _time("created_at"),
    UniqueConstraint("dataset", "input"),
    Index("dataset_inputs_by_dataset", "dataset", "seq"),
)

dataset_versions = _table(
    "dataset_versions",
    _in("apps", "app"),
    Column("dataset", SEQ, ForeignKey("datasets.seq", ondelete="CASCADE"), index=True),  # null: inputs of the whole app
    Column("id", ID, nullable=False),
    Column("status", Integer, nullable=False),  # wire code: 64005 pending, 64010 in progress, 64015 ready, 64020 failed
    Column("details", Note, nullable=False, default=""),
    Column("origin", Integer, nullable=False),  # wire DatasetVersionRequestOrigin: 1 manual, 2 training
    Column("split", Text, nullable=False),  # JSON {"train": 0.8, "val": 0.1, "test": 0.1, "seed": 0}
    Column("annotation_filter", Text),  # JSON, which labels and regions it takes in: see `version_filter`; null: all
    Column("manifest", String(64), nullable=False, default=""),  # blob of the frozen manifest.jsonl
    Column("counts", Text, nullable=False, default="{}"),  # JSON, see snapshot_job
    Column("message", LargeBinary, nullable=False),
    _time("created_at"),
    _time("modified_at"),
    UniqueConstraint("app", "dataset", "id"),
)

dataset_exports = _table(  # archives of dataset versions, one per format
    "dataset_exports",
    Column("id", ID, nullable=False, unique=True),
    _in("dataset_versions", "version"),
    Column("format", Integer, nullable=False),  # wire DatasetVersionExportFormat
    Column("status", Integer, nullable=False),  # wire code: 64201 pending, 64203 in progress, 64200 done, 64202 failed
    Column("details", Note, nullable=False, default=""),
    Column("blob", String(64), nullable=False, default=""),  # SHA-256 of the archive, once it is there
    Column("size", BigInteger, nullable=False, default=0),  # bytes
    _time("created_at"),
    _time("modified_at"),
    UniqueConstraint("version", "format"),
    Index("dataset_exports_by_blob", "blob"),
)

models = _table(
    "models",
    _in("apps", "app"),
    Column("id", ID, nullable=False),
    Column("model_type", ID, nullable=False),
    Column("message", LargeBinary, nullable=False),
    _time("created_at"),
    _time("modified_at"),
    UniqueConstraint("app", "id"),
)

model_versions = _table(
    "model_versions",
    _in("models", "model", index=True),
    Column("id", ID, nullable=False, unique=True),  # 32 hexadecimal digits, never used again
    Column("status", Integer, nullable=False),  # wire code: 21102, 21103, 21101, 21100, 21106
    Column("details", Note, nullable=False, default=""),
    Column("percent", Integer, nullable=False, default=0),
    Column("seconds_left", Integer, nullable=False, default=0),
    Column("template", ID, nullable=False, default=""),
    Column("request", Text, nullable=False, default="{}"),  # JSON, what was asked for: see `versions`
    Column("dataset_version", SEQ, ForeignKey("dataset_versions.seq", ondelete="SET NULL"), index=True),
    Column("run_folder", Text, nullable=False, default=""),  # relative to the runs folder
    Column("checkpoint", Text, nullable=False, default=""),  # relative to the run folder: the weights to serve
    Column("results", Text, nullable=False, default="{}"),  # JSON, what it brought: see `versions`
    Column("input_count", Integer, nullable=False, default=0),
    Column("message", LargeBinary, nullable=False),
    _time("created_at"),
    _time("modified_at"),
    _time("completed_at", nullable=True),
    Index("model_versions_by_model", "model", "seq"),
)

vectors = _table(  # what a trained embedder has made of pictures, for searches by likeness
    "vectors",
    _in("model_versions", "version"),
    _in("inputs", "input", index=True),
    Column("width", Integer, nullable=False),  # numbers in the vector; 0: none could be made
    Column("vector", LargeBinary, nullable=False),  # float32, little-endian, of length 1 together
    UniqueConstraint("version", "input"),
    Index("vectors_by_version", "version", "seq", "width"),
)

log_chunks = _table(  # the training log, as text appended piece by piece
    "log_chunks",
    _in("model_versions", "version"),
    Column("text", Text, nullable=False),
    Index("log_chunks_by_version", "version", "seq"),
)

jobs = _table(
    "jobs",
    Column("kind", String(16), nullable=False),  # ingest, fetch, snapshot, export, vectors, calibration …
    Column("lane", String(16), nullable=False),  # data or training: a worker runs each lane by itself
    Column("priority", Integer, nullable=False, default=0),  # higher first, then in order of seq
    Column("state", String(12), nullable=False),  # see jobs.State
    Column("payload", Text, nullable=False),  # JSON
    Column("user", ID, nullable=False),  # id of the user it is for
    Column("subject", SEQ),  # seq of the model version, dataset version … it works on
    Column("owner", String(64), nullable=False, default=""),  # the worker that holds it
    Column("attempt", Integer, nullable=False, default=0),  # raised by each claim
    Column("lease", Integer, nullable=False, default=0),  # a counter that the owner raises as a sign of life
    Column("progress", Integer, nullable=False, default=0),  # the farthest step that any attempt has reached
    Column("attempts_without_progress", Integer, nullable=False, default=0),
    Column("cancel_requested", Boolean, nullable=False, default=False),
    Column("cancelled_by", ID, nullable=False, default=""),
    Column("reasons", Text, nullable=False, default="[]"),  # JSON, why each failed attempt ended
    _time("created_at"),
    _time("heartbeat_at", nullable=True),  # for people only, never for decisions
    _time("finished_at", nullable=True),
    Index("jobs_to_claim", "lane", "state", "priority", "seq"),
    Index("jobs_by_subject", "kind", "subject"),
    Index("jobs_by_state", "state", "user"),
    Index("jobs_by_end", "finished_at"),
)

calibrations = _table(  # what a step of a template costs on a device, measured
    "calibrations",
    Column("template", ID, nullable=False),
    Column("model_type", ID, nullable=False),
    Column("image_size", Integer, nullable=False),
    Column("batch_size", Integer, nullable=False),
    Column("device", ID, nullable=False),  # "cpu/2" (threads) or the accelerator's name
    Column("seconds_per_step", Float, nullable=False),
    Column("seconds_per_validation_item", Float, nullable=False),
    Column("start_seconds", Float, nullable=False),
    Column("checkpoint_seconds", Float, nullable=False),
    Column("gflops_per_item", Float, nullable=False),
    _time("created_at"),
    UniqueConstraint("template", "model_type", "image_size", "batch_size", "device"),
)

devices = Table(  # what workers last said they train on
    "devices",
    metadata,
    Column("worker", String(64), primary_key=True),
    Column("device", ID, nullable=False),
    Column("kind", String(8), nullable=False),  # cpu, cuda, mps
    _time("seen_at"),
)
