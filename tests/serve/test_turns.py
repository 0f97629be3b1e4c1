"""Turns of servers that share a SQLite database."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from test_gate import until

from quickstudy.serve import turns as module
from quickstudy.serve.presence import ClientLeftError, Presence
from quickstudy.serve.problems import Problem
from quickstudy.serve.tables import connect, turns_of
from quickstudy.serve.turns import FREE, HELD, Turns

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="locks of an open file")


def queue(turns: Turns, probe: Turns, number: int) -> None:
    """Waits until a server has reached the turnstile, as a third one sees it."""

    def is_there() -> bool:
        if probe._set(2 * number, HELD):
            probe._set(2 * number, FREE)
            return False
        return True

    until(is_there)


@pytest.mark.parametrize("number", [0, 7])
def test_servers_go_in_turn(number: int, tmp_path: Path) -> None:
    """One that has had its turn does not go again before one that waits."""
    one, other, probe = (Turns(tmp_path / "tasks.db") for _ in range(3))
    order = list[str]()

    def go(turns: Turns, name: str) -> None:
        with turns(number):
            order.append(name)

    with ThreadPoolExecutor(3) as threads, one(number):
        order.append("one")
        threads.submit(go, other, "other")
        queue(other, probe, number)
        for i in range(2):
            threads.submit(go, one, "one again")
            until(lambda i=i: one._gates[number].waiting == i + 1)
        with probe(number + 1):  # turns at something else are free
            pass
    assert order == ["one", "other", "one again", "one again"]


def test_a_turn_is_waited_for_in_vain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAIT", 0.02)
    one, other = Turns(tmp_path / "tasks.db"), Turns(tmp_path / "tasks.db")
    with one(), pytest.raises(Problem, match="OVERLOADED"), other():
        pass
    with other():  # the turnstile was left
        pass


def test_a_client_that_left_gives_its_turn_up(tmp_path: Path) -> None:
    one, other, probe = (Turns(tmp_path / "tasks.db") for _ in range(3))
    client = Presence()
    with ThreadPoolExecutor(1) as threads, one():
        waits = threads.submit(other(client=client).__enter__)
        queue(other, probe, 0)
        client.leave()
        with pytest.raises(ClientLeftError):
            waits.result()
    with other():
        pass


def test_tasks_have_the_same_turns_at_all_servers(tmp_path: Path) -> None:
    one, other = Turns(tmp_path / "a.db"), Turns(None)
    assert one.of("acme/blobs/mine") == other.of("acme/blobs/mine") == 37
    assert len({one.of(f"acme/blobs/t{i}") for i in range(1000)}) == module.STRIPES
    engine = connect(f"sqlite:///{tmp_path / 'b.db'}", 1)
    with turns_of(engine)(), other():
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["b.db-turns"]
    engine.dispose()
