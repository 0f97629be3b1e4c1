"""Policies over HTTP: they act, learn from what a client played with them, and refuse the rest."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from served_runs import Client, listening
from small import blobs, prototypical, quick
from test_policy_models import GOAL, policies, walk
from test_practise_command import written

import quickstudy as qs
from quickstudy.domains.control import Bandit
from quickstudy.errors import UserError
from quickstudy.serve.app import create_app, sweep_once
from quickstudy.serve.limits import MAX_EPISODES, MAX_QUERY

NAV, CORNER, ARMS = (f"/v1/policies/{name}" for name in ("nav", "corner", "arms"))
ARMED = Bandit(n_arms=3, horizon=4)


def make(folder: Path) -> list[Path]:
    """A run of a policy, an adapted policy, one that chooses, and a model that answers queries."""
    policies().practise(GOAL, episodes=4, updates=2).save(folder / "Corner.task")
    policies(ARMED).practise({"means": [0.0, 1.0, 0.0]}, 4).save(folder / "arms.task")
    source = blobs()
    quick(source, prototypical(source), folder / "blobs")
    written(folder / "nav", policies())
    return [folder / name for name in ("nav", "Corner.task", "arms.task", "blobs")]


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return make(tmp_path_factory.mktemp("policies"))


@pytest.fixture(scope="module")
def server(paths: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    database = f"sqlite:///{tmp_path_factory.mktemp('acting') / 'tasks.db'}"
    with listening(create_app(paths, database)) as client:
        yield client


def plain(episodes: list[dict[str, Any]]) -> Any:
    """Episodes as JSON."""
    return json.loads(json.dumps(episodes, default=lambda array: np.asarray(array).tolist()))


def asked(server: Client, path: str, **sent: Any) -> Any:
    said = server.post(path, json=sent)
    assert said.status_code == 200, said.text
    return said.json()


def test_policies_are_listed_beside_models(server: Client) -> None:
    every = {each["id"]: each for each in server.get("/v1/policies").json()["policies"]}
    assert [*every] == ["nav", "corner", "arms"]
    assert every["corner"] == server.get(CORNER).json()
    assert [every[name]["n_updates"] for name in every] == [0, 2, 1]
    assert [every[name]["n_episodes"] for name in every] == [0, 8, 4]
    assert (every["nav"]["hidden"], every["corner"]["hidden"]) == (None, GOAL)
    assert every["nav"]["world"]["name"] == "point-goal"
    assert (every["nav"]["observation_shape"], every["nav"]["action_size"]) == ([2], 2)
    assert (every["arms"]["n_actions"], every["arms"]["action_size"]) == (3, None)
    models = server.get("/v1/models").json()["models"]
    assert [each["id"] for each in models] == ["blobs"]
    assert server.get("/", follow_redirects=False).status_code == 200


def test_actions_are_those_of_python(server: Client, paths: list[Path]) -> None:
    policy, seen = qs.load_policy(paths[1]), [[0.1, 0.2], [0.0, -0.3]]
    said = asked(server, f"{CORNER}:act", observations=seen, seed=5)
    choice = policy.choose(seen, seed=5)
    assert said["mode"] == "drawn"
    assert said["version"] == server.get(CORNER).json()["version"]
    np.testing.assert_allclose([a["action"] for a in said["actions"]], choice.action, rtol=1e-6)
    densities = [a["log_probability"] for a in said["actions"]]
    np.testing.assert_allclose(densities, choice.log_probability, rtol=1e-6)
    assert said == asked(server, f"{CORNER}:act", observations=seen, seed=5)
    assert said != asked(server, f"{CORNER}:act", observations=seen, seed=6)
    assert asked(server, f"{CORNER}:act", observations=seen) != asked(
        server, f"{CORNER}:act", observations=seen
    )
    greedy = asked(server, f"{CORNER}:act", observations=seen, greedy=True)
    assert greedy["mode"] == "greedy"
    means = [a["action"] for a in greedy["actions"]]
    np.testing.assert_allclose(means, policy.act(seen, greedy=True), rtol=1e-6)


def test_a_choice_comes_with_the_probabilities_of_all(server: Client, paths: list[Path]) -> None:
    policy = qs.load_policy(paths[2])
    (said,) = asked(server, f"{ARMS}:act", observations=[[1.0]], seed=3)["actions"]
    assert said["action"] == policy.act([1.0], seed=3)
    np.testing.assert_allclose(said["probabilities"], policy.probabilities([1.0]), rtol=1e-6)
    np.testing.assert_allclose(
        said["log_probability"], np.log(said["probabilities"][said["action"]]), rtol=1e-5
    )


def test_a_policy_adapts_round_by_round_as_in_python(server: Client) -> None:
    policy = policies().begin()
    first = walk(policy)
    once = asked(server, f"{NAV}:adapt", rounds=[plain(first)])
    after = policy.update(first)
    assert (once["n_updates"], once["n_episodes"]) == (1, 3)
    np.testing.assert_allclose(once["returns"], [after.before.mean()], rtol=1e-5)
    said = asked(server, f"{NAV}:act", observations=[[0.1, 0.2]], version=once["version"], seed=1)
    np.testing.assert_allclose(said["actions"][0]["action"], after.act([0.1, 0.2], 1), rtol=1e-5)
    second = walk(after, n=2)
    twice = asked(server, f"{NAV}:adapt", rounds=[plain(second)], version=once["version"])
    assert (twice["n_updates"], twice["n_episodes"]) == (2, 5)
    both = asked(server, f"{NAV}:adapt", rounds=[plain(first), plain(second)])
    assert both["version"] == twice["version"] != once["version"]
    better = after.update(second)
    said = asked(server, f"{NAV}:act", observations=[[0.1, 0.2]], version=twice["version"], seed=1)
    np.testing.assert_allclose(said["actions"][0]["action"], better.act([0.1, 0.2], 1), rtol=1e-5)
    served = asked(server, f"{NAV}:act", observations=[[0.1, 0.2]], seed=1)
    assert served["actions"] != said["actions"], "the served policy is as it was"


def changed(**fields: Any) -> Any:
    first, *others = plain(walk(policies().begin()))
    return [{**first, **fields}, *others]


@pytest.mark.parametrize(
    ("sent", "status", "reason", "words"),
    [
        ({"observations": []}, 422, "INVALID_ARGUMENT", "observations"),
        ({"observations": [[0, 0]] * (MAX_QUERY + 1)}, 422, "INVALID_ARGUMENT", "observations"),
        ({"observations": [[0, 0], [0]]}, 422, "INVALID_ARGUMENT", "observation 1 must be finite"),
        ({"observations": [[[0, 0]]]}, 422, "INVALID_ARGUMENT", "received the shape (1, 2)"),
        ({"observations": [["0", "0"]]}, 422, "INVALID_ARGUMENT", "must be numbers; received"),
        ({"observations": [[0, [0]]]}, 422, "INVALID_ARGUMENT", "must be numbers; received"),
        ({"observations": [[0, None]]}, 422, "INVALID_ARGUMENT", "must be numbers; received"),
        ({"observations": [[0, 1e39]]}, 422, "INVALID_ARGUMENT", "must be finite numbers"),
        ({"observations": [[0, 0]], "seed": -1}, 422, "INVALID_ARGUMENT", "seed"),
        ({"observations": [[0, 0]], "seed": 2**63}, 422, "INVALID_ARGUMENT", "seed"),
        ({"observations": [[0, 0]], "greedy": "yes"}, 422, "INVALID_ARGUMENT", "greedy"),
        ({"observations": [[0, 0]], "version": "1"}, 422, "INVALID_ARGUMENT", "version"),
        (
            {"observations": [[0, 0]], "version": "sha256:" + 64 * "0"},
            *(409, "POLICY_VERSION_GONE", "POST its rounds to :adapt again"),
        ),
        ({"rounds": []}, 422, "INVALID_ARGUMENT", "rounds"),
        ({"rounds": [[]]}, 422, "INVALID_ARGUMENT", "rounds"),
        ({"rounds": [changed(final=None)]}, 422, "INVALID_ARGUMENT", "received no final; give it"),
        (
            {"rounds": [changed(reward=[1.0])]},
            422,
            "INVALID_ARGUMENT",
            "action must have the shape (1, 2)",
        ),
        ({"rounds": [changed(action=[["a", 1]] * 5)]}, 422, "INVALID_ARGUMENT", "must be numbers"),
        ({"rounds": [changed(surprise=1)]}, 422, "INVALID_ARGUMENT", "surprise"),
        (
            {"rounds": [changed(log_probability=[-9.0] * 5)]},
            *(422, "INVALID_ARGUMENT", "must be played by the policy that learns from it"),
        ),
        ({"rounds": [changed(reward=[3e38] * 5)]}, 422, "INVALID_ARGUMENT", "must be finite; rec"),
    ],
)
def test_what_cannot_be_is_a_problem_of_its_place(
    server: Client, sent: Any, status: int, reason: str, words: str
) -> None:
    refused = server.post(f"{NAV}:{'adapt' if 'rounds' in sent else 'act'}", json=sent)
    problem = refused.json()
    assert (refused.status_code, problem["reason"]) == (status, reason), refused.text
    assert words in refused.text
    if status == 422:
        assert problem["errors"][0]["pointer"].startswith(f"/{next(reversed(sent))}"), refused.text
    assert asked(server, f"{NAV}:act", observations=[[0, 0]])["actions"]


def test_too_much_is_refused_before_it_is_learned_from(
    server: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = server.post(f"{NAV}:adapt", json={"rounds": [changed() * MAX_EPISODES]})
    assert many.status_code == 422
    monkeypatch.setattr("quickstudy.serve.policies.MAX_NUMBERS", 41)
    monkeypatch.setattr(qs.AdaptedPolicy, "update", lambda *_: pytest.fail("it learned"))
    refused = server.post(f"{NAV}:adapt", json={"rounds": [changed()]})
    assert refused.json()["reason"] == "LIMIT_EXCEEDED"
    assert "received 3 episodes of up to 7 steps of 2; send fewer" in refused.json()["detail"]


def test_policies_and_models_are_asked_at_their_own_paths(server: Client) -> None:
    for path in ("/v1/policies/blobs", "/v1/models/nav"):
        refused = server.get(path)
        assert (refused.status_code, refused.json()["reason"]) == (404, "NOT_FOUND")
    assert "expected one of nav, corner, arms" in server.get("/v1/policies/blobs").json()["detail"]


def test_an_adapted_policy_is_of_its_tenant_until_it_is_evicted(
    paths: list[Path], tmp_path: Path
) -> None:
    with listening(create_app(paths[:1], f"sqlite:///{tmp_path / 'tasks.db'}")) as client:
        state = client.app.state.server

        def key(tenant: str, *scopes: str) -> dict[str, str]:
            return {"Authorization": f"Bearer {state.keys.create(tenant, [*scopes])}"}

        mine, asks, others = key("a", "adapt"), key("a", "predict"), key("b", "predict", "adapt")
        sweep_once(state)

        def act(headers: dict[str, str], version: str) -> httpx.Response:
            sent = {"observations": [[0, 0]], "version": version}
            return client.post(f"{NAV}:act", json=sent, headers=headers)

        def learn(headers: dict[str, str], n: int) -> httpx.Response:
            rounds = [plain(walk(policies().begin(), n))]
            return client.post(f"{NAV}:adapt", json={"rounds": rounds}, headers=headers)

        version = learn(mine, 2).json()["version"]
        assert [act(headers, version).status_code for headers in (mine, asks, others)] == [
            *(403, 200, 409)
        ]
        assert learn(asks, 2).status_code == 403
        assert learn(others, 2).json()["version"] == version
        assert act(others, version).status_code == 200
        state.policies.budget = 1
        newer = learn(mine, 3).json()["version"]
        assert [act(asks, each).status_code for each in (version, newer)] == [409, 200]
        assert state.policies.bytes < 10_000
        page = client.get("/", follow_redirects=False)
        assert page.status_code == 307
        assert client.get(page.headers["location"].removeprefix(".")).status_code == 200


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["x/nav.task", "nav"], "each run needs a folder name of its own"),
        (["1.task"], "must begin with a letter; received '1'; rename it"),
        (["rows.task"], "expected a policy, which acts; received an adapted model"),
        (["light.task"], "saved without its meta-trained model"),
    ],
)
def test_files_that_cannot_be_served(
    paths: list[Path], tmp_path: Path, names: list[str], words: str
) -> None:
    (tmp_path / "x").mkdir()
    for name in ("x/nav.task", "1.task"):
        policies().begin().save(tmp_path / name)
    policies().begin().save(tmp_path / "light.task", model=False)
    model = qs.load(paths[3])
    model.adapt(np.eye(2), ["a", "b"]).save(tmp_path / "rows.task")
    given = [paths[0] if name == "nav" else tmp_path / name for name in names]
    with pytest.raises(UserError, match=words):
        create_app(given, f"sqlite:///{tmp_path / 'tasks.db'}")
