"""What the whole wire needs: inputs by URL, uploads, exports."""

import sqlalchemy as sa
from alembic import op

revision = "v0002"
down_revision = "v0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
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
    _dataset_exports()
    op.add_column("dataset_versions", sa.Column("annotation_filter", sa.Text(), nullable=True))


def downgrade() -> None:
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
    op.drop_index("input_urls_by_hash", table_name="input_urls")
    op.drop_table("input_urls")


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
