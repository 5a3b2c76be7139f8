"""What the whole wire needs: inputs by URL, uploads, exports."""

import sqlalchemy as sa
from alembic import op

from luthier.store.migrations.regions_in_messages import read_regions

revision = "v0002"
down_revision = "v0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _urls()
    _uploads()
    _imports()
    _dataset_exports()
    _regions()
    op.add_column("dataset_versions", sa.Column("annotation_filter", sa.Text(), nullable=True))
    _quick_searches()
    _vectors()
    op.create_index("jobs_by_state", "jobs", ["state", "user"], unique=False)
    op.create_index("jobs_by_end", "jobs", ["finished_at"], unique=False)


def downgrade() -> None:
    op.drop_index("jobs_by_end", table_name="jobs")
    op.drop_index("jobs_by_state", table_name="jobs")
    op.drop_index("vectors_by_version", table_name="vectors")
    op.drop_index("ix_vectors_input", table_name="vectors")
    op.drop_table("vectors")
    op.drop_index("masks_by_blob", table_name="masks")
    op.drop_table("masks")
    op.drop_index("region_labels_by_concept", table_name="region_labels")
    op.drop_index("ix_region_labels_input", table_name="region_labels")
    op.drop_table("region_labels")
    op.drop_index("ix_regions_input", table_name="regions")
    op.drop_table("regions")
    _no_quick_searches()
    op.drop_column("dataset_versions", "annotation_filter")
    op.drop_index("dataset_exports_by_blob", table_name="dataset_exports")
    op.drop_table("dataset_exports")
    op.drop_table("import_items")
    op.drop_index("ix_imports_upload", table_name="imports")
    op.drop_index("ix_imports_input_job", table_name="imports")
    op.drop_table("imports")
    op.drop_table("upload_parts")
    op.drop_index("uploads_by_expiry", table_name="uploads")
    op.drop_table("uploads")
    op.drop_table("asked_urls")
    op.drop_index("input_urls_by_hash", table_name="input_urls")
    op.drop_table("input_urls")


def _urls() -> None:
    op.create_table(
        "input_urls",
        sa.Column("input", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("app", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["app"], ["apps.seq"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["input"], ["inputs.seq"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("input"),
    )
    op.create_index("input_urls_by_hash", "input_urls", ["app", "hash"], unique=False)
    op.create_table(
        "asked_urls",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("blob", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
        sqlite_autoincrement=True,
    )


def _uploads() -> None:
    op.create_table(
        "uploads",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("app", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("id", sa.String(length=128), nullable=False),
        sa.Column("content_name", sa.Text(), nullable=False),
        sa.Column("content_length", sa.BigInteger(), nullable=False),
        sa.Column("received", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("modified_at", sa.Float(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["app"], ["apps.seq"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("app", "id"),
        sqlite_autoincrement=True,
    )
    op.create_index("uploads_by_expiry", "uploads", ["status", "expires_at"], unique=False)
    op.create_table(
        "upload_parts",
        sa.Column("upload", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("range_start", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("length", sa.BigInteger(), nullable=False),
        sa.Column("sha", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["upload"], ["uploads.seq"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("upload", "range_start"),
    )


def _imports() -> None:
    op.create_table(
        "imports",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("app", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("id", sa.String(length=128), nullable=False),
        sa.Column("input_job", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("upload", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("made", sa.Integer(), nullable=False),
        sa.Column("present", sa.Integer(), nullable=False),
        sa.Column("rejected", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("modified_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["app"], ["apps.seq"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["input_job"], ["input_jobs.seq"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["upload"], ["uploads.seq"], ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("app", "id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_imports_input_job", "imports", ["input_job"], unique=False)
    op.create_index("ix_imports_upload", "imports", ["upload"], unique=False)
    op.create_table(
        "import_items",
        sa.Column("import_job", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("input_id", sa.String(length=128), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["import_job"], ["imports.seq"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("import_job", "number"),
    )


def _dataset_exports() -> None:
    op.create_table(
        "dataset_exports",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=128), nullable=False),
        sa.Column("version", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("format", sa.Integer(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("blob", sa.String(length=64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("modified_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["version"], ["dataset_versions.seq"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("id"),
        sa.UniqueConstraint("version", "format"),
        sqlite_autoincrement=True,
    )
    op.create_index("dataset_exports_by_blob", "dataset_exports", ["blob"], unique=False)


def _vectors() -> None:
    op.create_table(
        "vectors",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("version", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("input", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["input"], ["inputs.seq"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["version"], ["model_versions.seq"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("version", "input"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_vectors_input", "vectors", ["input"], unique=False)
    op.create_index("vectors_by_version", "vectors", ["version", "seq", "width"], unique=False)


def _quick_searches() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "input_blocks",
        sa.Column("app", number, nullable=False),
        sa.Column("block", number, autoincrement=False, nullable=False),
        sa.Column("inputs", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["app"], ["apps.seq"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("app", "block"),
    )
    op.execute("INSERT INTO input_blocks SELECT app, seq / 4096, count(*) FROM inputs GROUP BY app, seq / 4096")
    op.add_column("labels", sa.Column("counting", sa.Boolean(), server_default=sa.true(), nullable=False))
    op.execute(
        "UPDATE labels SET counting = (1 = 0) WHERE annotation IN (SELECT seq FROM annotations WHERE status <> 24150)"
    )
    op.drop_index("labels_by_concept", table_name="labels")
    op.create_index("labels_by_concept", "labels", ["concept", "value", "counting", "input"], unique=False)


def _no_quick_searches() -> None:
    op.drop_index("labels_by_concept", table_name="labels")
    op.create_index("labels_by_concept", "labels", ["concept", "input"], unique=False)
    op.drop_column("labels", "counting")
    op.drop_table("input_blocks")


def _regions() -> None:
    """Tables beside the messages of annotations; what the messages hold already is read out of them."""
    op.create_table(
        "regions",
        sa.Column("annotation", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("input", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("rows", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["annotation"], ["annotations.seq"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["input"], ["inputs.seq"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("annotation"),
    )
    op.create_index("ix_regions_input", "regions", ["input"], unique=False)
    op.create_table(
        "region_labels",
        sa.Column("annotation", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("concept", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("value", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("input", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.ForeignKeyConstraint(["annotation"], ["annotations.seq"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["concept"], ["concepts.seq"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["input"], ["inputs.seq"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("annotation", "concept", "kind", "value"),
    )
    op.create_index("region_labels_by_concept", "region_labels", ["concept", "input"], unique=False)
    op.create_index("ix_region_labels_input", "region_labels", ["input"], unique=False)
    op.create_table(
        "masks",
        sa.Column("annotation", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("blob", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["annotation"], ["annotations.seq"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("annotation", "blob"),
    )
    op.create_index("masks_by_blob", "masks", ["blob"], unique=False)
    read_regions(op.get_bind())
