"""Alembic runs this; the connection is that of `migrate`, and so is the transaction."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
