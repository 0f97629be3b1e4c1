"""Keys that expire and have a rate, and a scope of its own to read examples.

Keys that could change or administer tasks could read their examples, and still can; keys that could
only ask no longer do.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("keys", sa.Column("rate", sa.Text))
    op.add_column("keys", sa.Column("expire_time", sa.Double))
    keys = sa.table("keys", sa.column("scopes", sa.Text))
    writes = sa.or_(keys.c.scopes.contains("adapt"), keys.c.scopes.contains("admin"))
    op.execute(sa.update(keys).where(writes).values(scopes=keys.c.scopes + ",read"))
