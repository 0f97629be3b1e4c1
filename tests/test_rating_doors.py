"""Ratings and interactions on the command line: survey, made-up data, training, refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from quickstudy.cli.main import main
from quickstudy.files.rundir import RunDirectory
from quickstudy.training.plan import resolve

SHORT = ("--steps", "2", "--valid-tasks", "3", "--net.width", "4", "--meta-batch", "2")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")


def rows(n_users: int = 8, n: int = 30) -> list[list[str]]:
    """Ratings of every user for n of 32 items, which differ from user to user."""
    return [
        [f"u{user}", f"film {(user + k) % 32}", str(1 + (user * k + k // 3) % 5), str(100 + k)]
        for user in range(n_users)
        for k in range(n)
    ]


def written(lines: list[list[str]], header: str = "user,item,rating,time") -> str:
    Path("films.csv").write_text("\n".join([header, *(",".join(line) for line in lines)]))
    return "films.csv"


def trained(*options: str, tasks: str = "ratings") -> int:
    words = ("train", "--tasks", tasks, "--tasks.path", "films.csv", *SHORT, "--out", "run")
    return main((*words, *options))


def test_made_up_data_are_surveyed_trained_on_and_measured(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("ratings", "interactions"):
        assert main(["data", name, "--make", name]) == 0
        command = capsys.readouterr().out.splitlines()[-1]
        assert command == f"quickstudy train --tasks {name} --tasks.path {name} --out runs/{name}"
        assert main(["data", name, name]) == 0
        shown = capsys.readouterr().out
        assert command in shown
        assert "users have" in shown
        assert ("scale" in shown) == (name == "ratings")
        words = [*command.split()[1:], *SHORT, "--tasks.candidates", "20"]
        assert main(words) == 0


def test_a_run_is_measured_beside_the_opponents_of_its_field() -> None:
    for name in ("ratings", "interactions"):
        written(rows(12), "user,item,rating,time")
        assert trained("--out", name, tasks=name) == 0
        options = ["--curves", "false", "--json", f"{name}.json"]
        assert main(["evaluate", name, *options]) == 0
        result = json.loads(Path(f"{name}.json").read_text())
        assert result["learner"] == "PriorHead"
        assert result["metric"] == ("mae" if name == "ratings" else "recall")
        assert {"EASE", "ItemKNN", "Popularity"} <= set(result["baselines"])
        assert ("coverage" in result) == (name == "ratings")
        assert ("log_likelihood" in result) == (name == "ratings")


def test_the_survey_tells_of_users_who_have_too_few(capsys: pytest.CaptureFixture[str]) -> None:
    lines = rows()
    path = written([*lines, ["u9", "film 0", "3", "7"]])
    assert main(["data", "ratings", path]) == 0
    shown = capsys.readouterr().out
    assert "8 of 9 users have 30 ratings: 20 to learn from at most and 10 to be asked" in shown
    assert "the other 1 are in meta-train alone" in shown
    assert "7 to 129" in shown  # the times
    written([line for line in lines if int(line[3]) < 110])
    assert main(["data", "ratings", path]) == 0
    shown = capsys.readouterr().out
    assert "0 of 8 users have 30 ratings" in shown
    assert "8 have enough for --tasks.most 5 --n-query 5" in shown


def test_a_network_of_items_is_named_or_not_and_knows_their_number() -> None:
    written(rows())
    assert trained() == 0
    table = ("--net", "ItemTable", "--out", "named")
    assert trained(*table) == 0
    runs = [json.loads(Path(run, "run.json").read_text())["specs"] for run in ("run", "named")]
    assert [run["net"]["n_items"] for run in runs] == [32, 32]
    assert runs[0]["net"]["width"] == 4
    assert trained("--net.hidden", "[4]") == 2


def test_settings_that_nobody_said_fit_a_table_of_items() -> None:
    ratings = {"name": "ratings", "path": "x"}
    usual = resolve({"tasks": ratings})
    assert (usual["learner"]["name"], usual["outer_lr"], usual["steps"]) == ("PriorHead", 0.01, 400)
    assert resolve({"tasks": ratings, "outer_lr": 0.5})["outer_lr"] == 0.5
    assert resolve({})["outer_lr"] == 0.001


REFUSED = {
    "a copy": (lambda r: [*r, *(["zz", *line[1:]] for line in r if line[0] == "u1")], (),
               "'u1' (from line 32 of films.csv) and 'zz' (from line 242), who have the same 30"),
    "all alike": (lambda r: [[u, i, "4", t] for u, i, _, t in r], (), "--tasks interactions"),
    "one user": (lambda r: r[:30], (), "every split needs at least 1; received 1"),
    "too few": (lambda r: r[:10], (), "(1 of 1 users have too few); choose a smaller most"),
    "no times": (lambda r: [line[:3] for line in r], ("--tasks.order", "time"), "no column of"),
    "a time in words": (lambda r: [*r, ["u0", "film 31", "3", "soon"]], ("--tasks.order", "time"),
                        "ratings: time must hold times, all written alike; received 'soon'"),
    "liked": (lambda r: r, ("--tasks.liked", "7"), "scale from 1 to 5; received 7"),
    "shots": (lambda r: r, ("--n-shot", "25"), "raise most (--tasks.most)"),
    "tested": (lambda r: r, ("--tasks.test-users", "users.txt"), "did you mean 'u1'?"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_wrong_is_named(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    change, options, words = REFUSED[case]
    lines = change(rows())
    written(lines, "user,item,rating,time" if len(lines[0]) == 4 else "user,item,rating")
    Path("users.txt").write_text("U1\n")
    assert trained(*options) == 2
    assert words in " ".join(capsys.readouterr().err.split())


def test_a_file_without_ratings_is_shown_the_way(capsys: pytest.CaptureFixture[str]) -> None:
    written([[u, i, t] for u, i, _, t in rows()], "user,item,time")
    assert trained() == 2
    assert "take --tasks interactions" in " ".join(capsys.readouterr().err.split())
    assert trained(tasks="interactions") == 0


def test_users_of_meta_test_count_once(capsys: pytest.CaptureFixture[str]) -> None:
    written(rows())
    Path("users.txt").write_text("u1\nu1\nu2\n")
    assert trained("--tasks.test-users", "users.txt") == 0
    record = json.loads(Path("run/run.json").read_text())
    assert record["data"]["splits"]["test"]["names"] == ["u1", "u2"]
    Path("users.txt").write_text("\n")
    assert trained("--tasks.test-users", "users.txt", "--out", "other") == 2
    assert "must name some; received none" in " ".join(capsys.readouterr().err.split())


def test_a_run_goes_on_though_it_was_begun_with_other_options_of_networks() -> None:
    written(rows())
    assert trained() == 0
    run = RunDirectory("run")
    record = run.read()
    record["config"]["net"] |= {"pool": None}
    run._write(record)
    assert main(["train", "--resume", "run", "--steps", "3"]) == 0
    assert run.read()["step"] == 3
