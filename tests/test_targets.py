"""Targets of a regression: standardised for the learner, in the user's units for people."""

import json
import math

import numpy as np
import pytest
import torch

import quickstudy as qs
from quickstudy.cli.evaluate import Evaluation, evaluate_run
from quickstudy.cli.main import main
from quickstudy.errors import UserError
from quickstudy.evaluation.record import Likelihood
from quickstudy.models.model import Model
from quickstudy.targets import IDENTITY, TargetScale, rule_from_json
from quickstudy.tasks import GroupedRows

UNIT = {"dollars": 1e5, "thousands": 100.0}
"""How many of them one standard deviation of the made prices is."""
SHORT = qs.Training(steps=4, valid_tasks=3, meta_batch=2)


def towns(unit, n_towns=12):
    """Prices of houses in towns whose rules are alike, on the same rows whatever the unit."""
    rng = np.random.default_rng(0)
    rows = []
    for town in range(n_towns):
        slope = 1 + 0.2 * rng.normal()
        for area in rng.normal(size=12):
            rows.append((f"t{town}", f"{area:.3f}", 3 + slope * area + 0.1 * rng.normal()))
    lines = [f"{town},{area},{unit * value:.9g}" for town, area, value in rows]
    return "\n".join(["town,area,price", *lines])


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """The same table in dollars and in thousands of dollars."""
    folder = tmp_path_factory.mktemp("towns")
    for name, unit in UNIT.items():
        (folder / f"{name}.csv").write_text(towns(unit))
    return folder


def source_of(tables, name):
    return qs.tasks.table(tables / f"{name}.csv", "price", "town", n_shot=5, n_query=5)


def build(source, learner="MAML"):
    return qs.build(learner, source, net={"name": "MLP", "hidden": (8,)})


@pytest.fixture(scope="module")
def runs(tables):
    """A run on each of the tables, by the command line."""
    for name in UNIT:
        data = ["--tasks", "table", "--tasks.path", str(tables / f"{name}.csv")]
        data += ["--tasks.target", "price", "--tasks.task", "town", "--n-shot", "5"]
        net = ["--learner", "MAML", "--net", "MLP", "--net.hidden", "[8]"]
        short = ["--steps", "4", "--valid-tasks", "3", "--out", str(tables / name)]
        assert main(["train", *data, *net, *short]) == 0
    return {name: tables / name for name in UNIT}


@pytest.fixture(scope="module")
def adapted(tables, runs):
    """The model of a new town, from each run."""
    result = {}
    for name, run in runs.items():
        source = source_of(tables, name)
        rows = source.groups["test"][0]
        result[name] = qs.load(run).adapt(torch.from_numpy(source.x[rows]), source.y[rows])
    return result


def in_thousands(dollars):
    return np.asarray(dollars, dtype=np.float64) / 1000


def test_values_that_differ_little_beside_their_size_stay_apart():
    y = 1e12 + np.array([[0.0], [0.5], [1.0]])
    scale = TargetScale.of(y)
    standardised = scale.standardise(torch.from_numpy(y), torch.from_numpy(y)).float()
    torch.testing.assert_close(standardised[:, 0], torch.tensor([-1.0, 0.0, 1.0]) * 1.5**0.5)
    np.testing.assert_allclose(
        scale.restore(standardised, standardised).numpy(), y, rtol=0, atol=1e-3
    )


def test_each_output_has_its_own_scale_and_what_does_not_vary_is_centred():
    scale = TargetScale.of(np.array([[1, 0.1, 5], [3, 0.1, 5e8]]))
    assert scale.mean == (2, 0.1, 250000002.5)
    assert scale.std == (1, 1, 249999997.5)
    assert rule_from_json(json.loads(json.dumps(scale.to_json()))) == scale
    assert IDENTITY.to_json() is None
    assert rule_from_json(None) == IDENTITY


def test_the_identity_gives_back_the_same_tensor():
    values = torch.rand(3, 2)
    assert IDENTITY.restore(values, values) is values


def test_what_cannot_be_squared_is_refused():
    with pytest.raises(UserError, match=r"received values up to 1e\+300; give them in another"):
        TargetScale.of(np.array([[1e300], [-1e300]]))


def test_the_scale_is_of_the_meta_train_rows(tables):
    source = source_of(tables, "dollars")
    train = source.y[np.concatenate(source.groups["train"])]
    assert source.targets == TargetScale.of(train[:, None])
    values = np.concatenate([source.task("train", i).support.y.numpy() for i in range(200)])
    assert abs(values.mean()) < 0.2
    assert 0.8 < values.std() < 1.2


@pytest.mark.parametrize("learner", ["MetaSGD", "NeuralProcess"])
def test_dollars_and_thousands_of_dollars_end_alike(tables, learner):
    result = {}
    for name in UNIT:
        source = source_of(tables, name)
        trained = build(source, learner)
        best = qs.train(trained, source, SHORT, show=False).best
        result[name] = qs.evaluate(trained, source, n_tasks=5), best
    (dollars, best), (thousands, least) = result["dollars"], result["thousands"]
    assert best / 1e6 == pytest.approx(least, rel=1e-3)
    assert dollars["mse"] / 1e6 == pytest.approx(thousands["mse"], rel=1e-3)
    assert dollars["mse_disjoint"] / 1e6 == pytest.approx(thousands["mse_disjoint"], rel=1e-3)
    assert list(dollars["baselines"]) == ["RidgeRegression", "FineTuning"]
    for name, rung in dollars["baselines"].items():
        assert rung["mse"] / 1e6 == pytest.approx(thousands["baselines"][name]["mse"], rel=1e-3)
    # A prediction by the mean has the variance of the table.
    assert dollars["baselines"]["RidgeRegression"]["mse"] < UNIT["dollars"] ** 2
    if learner == "NeuralProcess":
        per_target = dollars["log_likelihood"] + math.log(1000)
        assert per_target == pytest.approx(thousands["log_likelihood"], abs=1e-3)


def test_a_likelihood_is_that_of_the_values_in_the_user_s_units(tables):
    from quickstudy.evaluation.meta_test import likelihood

    source = source_of(tables, "dollars")
    learner = build(source, "NeuralProcess").eval()
    result = likelihood(learner, source, "test", 3)
    assert isinstance(result, Likelihood)
    by_hand = []
    for i in range(3):
        support, query = source.task("test", i)
        mean, std = learner.distribution(learner.adapt(support), query.x)
        normal = torch.distributions.Normal(
            source.targets.restore(mean, query.x), source.targets.deviations(std, query.x)
        )
        by_hand.append(
            float(normal.log_prob(source.targets.restore(query.y, query.x)).mean().detach())
        )
    assert result.mean.value == pytest.approx(np.mean(by_hand), abs=1e-4)


def test_a_run_carries_the_scale(tables, runs):
    record = json.loads((runs["dollars"] / "run.json").read_text())
    scale = source_of(tables, "dollars").targets
    assert record["targets"] == scale.to_json()
    assert qs.load(runs["dollars"]).targets == scale
    assert 1e8 < record["best"] < 1e12


def test_predictions_are_in_the_user_s_units(adapted):
    x = torch.linspace(-1, 1, 7)[:, None]
    dollars, thousands = (adapted[name].predict(x) for name in ("dollars", "thousands"))
    assert dollars.dtype == np.float64
    np.testing.assert_allclose(in_thousands(dollars), thousands, rtol=1e-4)
    assert np.abs(dollars - 3e5).max() < 5e5
    single = adapted["dollars"].predict(x[0])
    assert single == pytest.approx(dollars[0], rel=1e-6)


def test_quality_and_explanations_are_in_the_user_s_units(adapted):
    dollars, thousands = adapted["dollars"], adapted["thousands"]
    assert dollars.quality().value / 1e6 == pytest.approx(thousands.quality().value, rel=1e-3)
    for a, b in zip(dollars.suspicious(every=True), thousands.suspicious(every=True), strict=True):
        assert (a.id, a.error / 1000) == (b.id, pytest.approx(b.error, rel=1e-3))
        np.testing.assert_allclose(in_thousands(a.answer), b.answer, rtol=1e-3)
    x = torch.tensor([[0.3]])
    why, other = (
        model.explain(x, attribution="occlusion").to_json() for model in (dollars, thousands)
    )
    assert why["answer"] == [pytest.approx(float(dollars.predict(x)[0]))]
    assert [row["label"] for row in why["influence"]] == [[y] for y in dollars.labels]
    for a, b in zip(why["influence"], other["influence"], strict=True):
        assert a["value"] / 1000 == pytest.approx(b["value"], rel=1e-2, abs=1e-3)
    total = why["attribution"]["total"]
    assert total / 1000 == pytest.approx(other["attribution"]["total"], rel=1e-3)
    assert np.sum(why["attribution"]["values"]) == pytest.approx(total, rel=1e-4)


def test_contributions_sum_to_the_prediction_in_the_user_s_units(tables):
    source = source_of(tables, "dollars")
    model = Model(build(source, "RidgeHead"), source.x_shape, targets=source.targets)
    rows = source.groups["test"][0]
    adapted = model.adapt(torch.from_numpy(source.x[rows]), source.y[rows])
    x = torch.tensor([[0.3]])
    contributions = adapted.explain(x).contributions
    assert float(contributions.parts.sum()) == pytest.approx(adapted.predict(x)[0], rel=1e-5)


def test_saved_updated_and_shortened_models_keep_the_scale(adapted, tmp_path):
    model, x = adapted["dollars"], torch.linspace(-1, 1, 3)[:, None]
    model.save(tmp_path / "town.task")
    np.testing.assert_array_equal(qs.load_task(tmp_path / "town.task").predict(x), model.predict(x))
    again = model.without(0).update(model.support_x[:1], model.labels[:1])
    assert np.abs(again.predict(x) / model.predict(x) - 1).max() < 1e-3


def test_an_exported_file_answers_in_the_user_s_units(adapted):
    import io

    x = torch.linspace(-1, 1, 4)[:, None]
    program = torch.export.load(io.BytesIO(adapted["dollars"].exported(".pt2"))).module()
    (values,) = program(x)
    np.testing.assert_allclose(values[:, 0].numpy(), adapted["dollars"].predict(x), rtol=1e-4)


def test_an_exported_file_cannot_tell_apart_what_single_precision_cannot():
    model = qs.FewShotRegressor().fit([[0.0], [1.0], [2.0]], [1e9, 1e9 + 1, 1e9 + 2]).adapted_
    with pytest.raises(UserError, match=r"vary by 0\.816\S* around 1e\+09, which it cannot tell"):
        model.exported(".pt2")


def test_the_evaluation_of_a_run_is_in_the_user_s_units(runs):
    settings = Evaluation(n_tasks=3, curves=False)
    dollars, thousands = (evaluate_run(runs[name], settings) for name in UNIT)
    assert dollars["mse"] / 1e6 == pytest.approx(thousands["mse"], rel=1e-3)


def test_commands_speak_in_the_user_s_units(runs, tmp_path, capsys):
    (tmp_path / "town.csv").write_text(
        "area,price\n" + "\n".join(f"{a},{3e5 + 1e5 * a}" for a in (-1, -0.5, 0, 0.5, 1))
    )
    (tmp_path / "rows.csv").write_text("area\n0.2\n-0.2\n")
    task = str(tmp_path / "town.task")
    words = ["--support", str(tmp_path / "town.csv"), "--target", "price", "--out", task]
    assert main(["adapt", str(runs["dollars"]), *words]) == 0
    assert "quality: mse " in capsys.readouterr().out
    assert main(["predict", task, str(tmp_path / "rows.csv"), "--json"]) == 0
    answers = [row["prediction"] for row in json.loads(capsys.readouterr().out)]
    assert all(1e5 < value < 6e5 for value in answers)


def test_without_a_run_the_scale_is_that_of_the_support():
    X = np.arange(12.0)[:, None]
    y = 1e10 + 0.01 * X[:, 0]
    model = qs.FewShotRegressor().fit(X[:10], y[:10])
    small = qs.FewShotRegressor().fit(X[:10], y[:10] - 1e10)
    np.testing.assert_allclose(model.predict(X[10:]) - 1e10, small.predict(X[10:]), atol=1e-5)
    assert model.adapted_.scale == TargetScale.of(y[:10, None])
    longer = model.adapted_.update(model.adapted_.support_x[:1], [2e10])
    assert longer.scale == TargetScale.of(np.append(y[:10], 2e10)[:, None])


def test_targets_that_single_precision_cannot_hold_are_refused():
    model = Model(qs.learners.RidgeRegression(), (1,))
    with pytest.raises(UserError, match=r"received values up to 1e\+39; give them in another unit"):
        model.adapt([[0.0], [1.0]], [1.0, 1e39])
    with pytest.raises(UserError, match=r"targets must be finite.*in example\(s\) \[1\]"):
        model.adapt([[0.0], [1.0]], [1.0, math.nan])


def test_a_run_from_before_goes_on_and_is_measured_in_its_own_units(tables, tmp_path):
    source = source_of(tables, "thousands")
    as_it_came = source.with_targets(IDENTITY)
    assert float(as_it_came.task("test", 0).support.y.mean()) > 100
    run = tmp_path / "old"
    learner = build(as_it_came, "RidgeHead")
    qs.train(learner, as_it_came, SHORT, run, show=False)
    assert "targets" not in json.loads((run / "run.json").read_text())
    model = qs.load(run)
    assert model.targets == IDENTITY
    longer = qs.Training(steps=6, valid_tasks=3, meta_batch=2)
    resumed, whole = build(source, "RidgeHead"), build(source, "RidgeHead")
    qs.train(resumed, source, longer, run, resume=True, show=False)
    qs.train(whole, as_it_came, longer, show=False)
    for name, weight in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], weight)
    compared = qs.compare({"old": run}, source, n_tasks=3, timed_tasks=1)
    by_hand = qs.evaluate(qs.load(run).learner, as_it_came, n_tasks=3, with_baselines=False)
    assert compared.rows[0].results[0].to_json()["mse"] == pytest.approx(by_hand["mse"])


def test_runs_on_other_scales_are_not_compared(tables):
    source = source_of(tables, "dollars")
    models = {
        "new": Model(build(source), source.x_shape, source.preprocess, targets=source.targets),
        "old": Model(build(source), source.x_shape, source.preprocess),
    }
    with pytest.raises(UserError, match="must have been trained with targets on one scale"):
        qs.compare(models, source, n_tasks=2)


def test_a_generated_family_has_no_scale_and_takes_no_other():
    source = qs.tasks.Sinusoid()
    assert source.targets == IDENTITY
    assert source.with_targets("support") is source
    with pytest.raises(UserError, match="train one on these tasks"):
        source.with_targets(TargetScale((1.0,), (2.0,)))


def test_rows_may_be_given_a_scale():
    x, y = np.zeros((8, 1), np.float32), np.arange(8)
    rows = {"train": [np.arange(4)], "test": [np.arange(4, 8)]}
    given = GroupedRows(
        "rows", x, y, rows, "regression", n_shot=2, scale=TargetScale((0.0,), (2.0,))
    )
    task = given.task("test", 0)
    values = torch.cat([task.support.y, task.query.y]).flatten()
    assert sorted(values.tolist()) == [2.0, 2.5, 3.0, 3.5]
