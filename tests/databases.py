"""A PostgreSQL for tests, where it is installed."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator

import sqlalchemy as sa


def free_port() -> int:
    """A port below those that the system lends to connections, so that none takes it meanwhile."""
    while True:
        port = random.SystemRandom().randrange(10_000, 32_000)
        with socket.socket() as server, contextlib.suppress(OSError):
            server.bind(("127.0.0.1", port))
            return port


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL that is started on loopback, and ended afterwards."""
    # It refuses to run as root, and its user must reach the folder.
    owner = "postgres" if os.getuid() == 0 else None
    as_owner = ["runuser", "-u", owner, "--"] if owner else []

    def run(*words: str) -> None:
        done = subprocess.run(
            [*as_owner, *words], capture_output=True, text=True, cwd=folder, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    with tempfile.TemporaryDirectory(prefix="quickstudy-postgres-") as folder:
        if owner:
            shutil.chown(folder, owner)
        data, log, port = f"{folder}/data", f"{folder}/log", free_port()
        settings = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories="
        run("initdb", "-D", data, "-U", "quick", "-A", "trust", "-E", "UTF8", "--no-sync")
        waits = ("-w", "-t", "300")
        run("pg_ctl", "-D", data, *waits, "-l", log, "-o", f"{settings} -c fsync=off", "start")
        try:
            yield f"postgresql://quick@127.0.0.1:{port}/postgres"
        finally:
            run("pg_ctl", "-D", data, *waits, "-m", "fast", "stop")


def new_database(url: str) -> str:
    """The URL of an empty database, beside the one of a URL."""
    name = f"db_{uuid.uuid4().hex}"
    engine = sa.create_engine(
        sa.make_url(url).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT"
    )
    with engine.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return sa.make_url(url).set(database=name).render_as_string(hide_password=False)
