"""`quickstudy serve` and `quickstudy keys`."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from quickstudy.cli.console import needs_extra
from quickstudy.errors import UserError
from quickstudy.models.named import named_models, run_directory
from quickstudy.serve.limits import Limits


def serve(
    runs: Sequence[Path] = (),
    host: str = "127.0.0.1",
    port: int = 8000,
    data_dir: Path = Path("serving"),
    database: str | None = None,
    require_if_match: bool = False,
    root_path: str = "",
    log_format: Literal["text", "json"] = "text",
    limits: Limits = Limits(),  # noqa: B008 - frozen; its fields become options
) -> int:
    """Serve meta-trained models over HTTP, with a page.

    Args:
        runs: Run directories; the name of each folder becomes that of its model. Also files of
            policies that `quickstudy practise` wrote. Where omitted, all models that have a name
            and whose packages are installed.
        host: Address to listen at; other than this machine's own only where there are keys.
        port: Port to listen at; 0 for any that is free.
        data_dir: Folder of the SQLite database, where no other is named.
        database: URL of a PostgreSQL or SQLite database.
        require_if_match: Whether changes are taken with If-Match only.
        root_path: Path under which a proxy serves it, such as /ml.
        log_format: Form of the log, which has a line for each request.
        limits: What one client may ask.
    """
    with needs_extra("serve", "serve"):
        from quickstudy.serve.app import create_app
        from quickstudy.serve.listen import bind, check_port, check_prefix, close, listen
        from quickstudy.serve.logs import logging_to_stderr
    check_port(port)
    prefix = check_prefix(root_path)
    database = _url(data_dir, database)
    app = create_app(runs or models_here(), database, limits, require_if_match, root_path=prefix)
    if not _is_loopback(host) and not app.state.server.needs_key:
        raise UserError(
            f"serve: without keys only this machine may be served, at 127.0.0.1; received --host "
            f"{host}; make a key first with quickstudy keys create."
        )
    name = f"[{host}]" if ":" in host else host
    models = ", ".join([*app.state.server.tasks.models, *app.state.server.policies.served])
    sockets = bind(host, port)
    address = f"http://{name}:{sockets[0].getsockname()[1]}/"
    try:
        with logging_to_stderr(log_format):
            listen(app, sockets, lambda: print(f"serving {models} at {address}", flush=True))
    finally:
        close(sockets)
    return 0


def models_here() -> list[Path]:
    """The run directories of the models that have a name and whose packages are installed."""
    return [run_directory(model) for model in named_models().values() if model.is_here]


def keys(
    action: Literal["create", "list", "revoke"],
    tenant: str | None = None,
    scope: str = "predict",
    rate: str | None = None,
    expires: str | None = None,
    key: str | None = None,
    data_dir: Path = Path("serving"),
    database: str | None = None,
) -> int:
    """Make, list and revoke the keys of a server's clients.

    Once there is a key, every request needs one.

    Args:
        action: What to do.
        tenant: Whose key it is to be; each tenant sees tasks of its own only.
        scope: What it allows: predict (to ask), adapt (to make and change tasks), read (to see the
            examples of tasks), admin (everything, and metrics); with commas between.
        rate: How many requests it may send, such as 60/minute; any number where omitted.
        expires: Its last day in UTC, or the moment it ends, such as 2027-01-31T18:00Z; never where
            omitted.
        key: Id of the key to revoke, as listed.
        data_dir: Folder of the SQLite database, where no other is named.
        database: URL of a PostgreSQL or SQLite database.
    """
    with needs_extra("keys", "serve"):
        from quickstudy.serve.disk import needs_room
        from quickstudy.serve.keys import Keys
        from quickstudy.serve.migrations import migrate
        from quickstudy.serve.tables import connect
    if action == "create" and tenant is None:
        raise UserError("keys create: needs a tenant; received none; give --tenant acme.")
    if action == "revoke" and key is None:
        raise UserError("keys revoke: needs the id of a key; received none; give --key 1a2b3c4d.")
    if action != "create" and (rate or expires):
        raise UserError(
            f"keys {action}: --rate and --expires are of a new key; received them for none; leave "
            "them out."
        )
    idle = {"create": {"key": key}, "list": {"key": key, "tenant": tenant}}
    for option, value in idle.get(action, {"tenant": tenant}).items():
        if value is not None:
            raise UserError(
                f"keys {action}: --{option} has no effect here; received {value!r}; leave it out."
            )
    engine = connect(_url(data_dir, database), 1)
    migrate(engine)
    store = Keys(engine)
    if action == "create":
        with needs_room("keys create"):
            print(store.create(str(tenant), scope.replace(" ", "").split(","), rate, expires))
    elif action == "revoke":
        with needs_room("keys revoke"):
            store.revoke(str(key))
    else:
        for row in store.rows():
            day = time.strftime("%Y-%m-%d", time.gmtime(row.create_time))
            ends = row.expire_time
            state = "expired" if ends is not None and ends <= time.time() else "valid"
            state = "revoked" if row.revoked else state
            until = "" if ends is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ends))
            words = (row.id, row.tenant, row.scopes, day, state, row.rate or "-", until or "-")
            print("\t".join(words))
    engine.dispose()
    return 0


def _url(data_dir: Path, database: str | None) -> str:
    if database is not None:
        return database
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{data_dir}: must be a folder for the database; received: {error.strerror}; choose "
            "another --data-dir."
        ) from error
    return f"sqlite:///{data_dir / 'tasks.db'}"


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
