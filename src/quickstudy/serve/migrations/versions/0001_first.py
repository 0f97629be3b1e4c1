"""Tasks with their revisions and examples, versions of models, keys, and replies."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def _task(primary_key: bool = True) -> sa.Column[str]:
    key = sa.ForeignKey("tasks.uid", ondelete="CASCADE")
    index = None if primary_key else True
    return sa.Column("uid", sa.Text, key, primary_key=primary_key, nullable=False, index=index)


def upgrade() -> None:
    op.create_table(
        "tasks",
        sa.Column("uid", sa.Text, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("display_name", sa.Text, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("next_example", sa.BigInteger, nullable=False),
        sa.Column("create_time", sa.Double, nullable=False),
        sa.Column("update_time", sa.Double, nullable=False),
        sa.Column("expire_time", sa.Double, index=True),
        sa.UniqueConstraint("tenant", "model", "id"),
    )
    op.create_table(
        "revisions",
        _task(),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("create_time", sa.Double, nullable=False),
        sa.Column("change", sa.Text, nullable=False),
        sa.Column("model_version", sa.Text, nullable=False, index=True),
        sa.Column("min_confidence", sa.Double),
        sa.Column("classes", sa.Text, nullable=False),
        sa.Column("examples", sa.Text, nullable=False),
        sa.Column("support_digest", sa.Text, nullable=False),
        sa.Column("tag", sa.Text, nullable=False),
        sa.Column("adapt_ms", sa.Double, nullable=False),
        sa.Column("state_bytes", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "examples",
        _task(),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
    )
    op.create_table(
        "versions",
        sa.Column("digest", sa.Text, primary_key=True),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("record", sa.LargeBinary, nullable=False),
        sa.Column("weights_name", sa.Text, nullable=False),
        sa.Column("weights", sa.LargeBinary, nullable=False),
        sa.Column("seen", sa.Double, nullable=False),
    )
    op.create_table(
        "keys",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("create_time", sa.Double, nullable=False),
        sa.Column("revoked", sa.Boolean, nullable=False),
    )
    op.create_table(
        "replies",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        _task(primary_key=False),
        sa.Column("request_sha256", sa.Text, nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("headers", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("create_time", sa.Double, nullable=False, index=True),
    )
