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


def downgrade() -> None:
    op.drop_index("input_urls_by_hash", table_name="input_urls")
    op.drop_table("input_urls")
