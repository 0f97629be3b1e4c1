"""Ports and hosts that can be listened at."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from quickstudy.cli.main import main
from quickstudy.errors import UserError
from quickstudy.serve.listen import bind, close


@pytest.mark.parametrize("port", ["99999", "65536", "-1"])
def test_a_port_that_cannot_be(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is read or written."""
    assert main(["serve", "nowhere", "--port", port]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert "65535" in err
    assert port in err


def test_a_port_that_is_taken(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        words = ["serve", str(runs["blobs"]), "--port", port, "--data-dir", str(tmp_path)]
        assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert port in err


def test_a_host_that_is_not_here() -> None:
    for host in ("192.0.2.1", "nowhere.invalid"):
        with pytest.raises(UserError, match=host):
            bind(host, 0)


def test_a_name_of_several_addresses_has_one_port() -> None:
    sockets = bind("localhost", 0)
    assert len({sock.getsockname()[1] for sock in sockets}) == 1
    close(sockets)
