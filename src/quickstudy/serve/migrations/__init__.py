"""Migrations of the database by Alembic."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.util import CommandError

from quickstudy.errors import DataError
from quickstudy.serve.tables import writing

LOCK = 7_191_207  # any number, the same for all servers of one database
VERSION_TABLE = "quickstudy_version"  # its own, as a study of Optuna's has Alembic's default
FIRST = "0001"


def migrate(engine: sa.Engine) -> None:
    """Brings the database to the form that this version knows; servers that start wait in turn.

    Raises:
        DataError: The database cannot be used, or is of a later version.
    """
    where = engine.url.render_as_string(hide_password=True)
    try:
        _migrate(engine)
    except (sa.exc.SQLAlchemyError, CommandError) as error:
        message = str(getattr(error, "orig", error)).strip()
        raise DataError(
            f"{where}: must be a database of this or an earlier quickstudy that answers; received: "
            f"{message}; correct its URL, start it, or restore it from a copy."
        ) from error


def _migrate(engine: sa.Engine) -> None:
    config = Config()
    config.set_main_option("script_location", "quickstudy.serve:migrations")
    with writing(engine) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))
        _own_version_table(connection)
        config.attributes.update(connection=connection, version_table=VERSION_TABLE)
        command.upgrade(config, "head")


def _own_version_table(connection: sa.Connection) -> None:
    """Renames the version table of the first servers, which had Alembic's default name."""
    shared, own = (
        sa.table(name, sa.column("version_num")) for name in ("alembic_version", VERSION_TABLE)
    )
    inspector = sa.inspect(connection)
    if not inspector.has_table(shared.name) or inspector.has_table(own.name):
        return
    if connection.scalars(sa.select(shared.c.version_num)).all() != [FIRST]:
        return
    connection.exec_driver_sql(f"ALTER TABLE {shared.name} RENAME TO {own.name}")
    if connection.dialect.name == "postgresql":  # the index would stand in a study's way
        connection.exec_driver_sql(
            f"ALTER TABLE {own.name} RENAME CONSTRAINT {shared.name}_pkc TO {own.name}_pkc"
        )
