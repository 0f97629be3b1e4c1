"""One database holds the tasks of a server and the studies of searches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from small_search import small_plan

from quickstudy.search.study import open_study
from quickstudy.serve.migrations import FIRST, VERSION_TABLE, migrate
from quickstudy.serve.tables import KEYS, connect, writing


def serve(url: str) -> None:
    """What a server does with its database as it starts."""
    engine = connect(url, 2)
    migrate(engine)
    with engine.connect() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(KEYS)) == 0
    engine.dispose()


def search(url: str) -> None:
    """What a search does with it."""
    study = open_study(small_plan(Path("unused"), storage=url))
    assert study.trials == []
    storage = study._storage
    storage.remove_session()
    storage._backend.engine.dispose()


@pytest.mark.parametrize("order", [[serve, search], [search, serve]])
def test_servers_and_studies_share_a_database(
    storage: str, order: list[Callable[[str], None]]
) -> None:
    for use in [*order, *order]:
        use(storage)


def test_a_database_with_the_version_in_alembic_s_own_table(storage: str) -> None:
    """As the first servers made it: at the first version, in a table of Alembic's default name."""
    engine, config = connect(storage, 2), Config()
    config.set_main_option("script_location", "quickstudy.serve:migrations")
    with writing(engine) as connection:
        config.attributes.update(connection=connection, version_table="alembic_version")
        command.upgrade(config, FIRST)
    serve(storage)
    search(storage)
    serve(storage)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert context.get_current_heads() == ("0002",)
        assert {"rate", "expire_time"} <= {
            c["name"] for c in sa.inspect(engine).get_columns("keys")
        }
    engine.dispose()
