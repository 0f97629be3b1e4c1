"""Search spaces as data: drawing, fixing, checking, comparing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from small import blobs, draw_classes, sinusoid

from quickstudy import UserError, catalog
from quickstudy.domains.ratings.made import make_ratings, write_ratings
from quickstudy.search.space import Choice, read_space, space_of, space_text
from quickstudy.search.spaces import default_space, defaults, usual_choices
from quickstudy.tasks import TaskSource
from quickstudy.training.plan import flat, nested, resolve

NESTED = [
    {"option": "learner.name", "values": ["MAML", "RidgeHead"]},
    {"option": "learner.inner_lr", "low": 0.01, "high": 1.0, "log": True,
     "when": {"learner.name": ["MAML"]}},
    {"option": "learner.scale", "low": 1, "high": 9, "when": {"learner.name": ["RidgeHead"]}},
    {"option": "net.width", "low": 8, "high": 32, "log": True, "whole": True},
    {"option": "net.depth", "low": 1, "high": 3, "whole": True},
]  # fmt: skip


def pictures(folder: Path) -> TaskSource:
    spec = {"name": "folder", "path": draw_classes(folder, 20, 4, 28), "n_way": 2, "n_shot": 1}
    return catalog.build_tasks(spec | {"n_query": 2})


def test_choices_are_made_where_their_conditions_are_met() -> None:
    space = space_of(NESTED)
    maml = space.draw(lambda choice: choice.values[0] if choice.values else choice.low)
    assert [*maml] == [
        "learner.name", "learner.inner_lr (learner.name=MAML)", "net.width", "net.depth",
    ]  # fmt: skip
    ridge = space.draw(lambda choice: choice.values[1] if choice.values else choice.high)
    assert space.options(ridge) == {
        "learner.name": "RidgeHead", "learner.scale": 9, "net.hidden": [32, 32, 32],
    }  # fmt: skip


def test_what_is_given_is_not_chosen() -> None:
    space = space_of(NESTED)
    left = space.without({"learner.name": "RidgeHead", "net.hidden": [8]})
    assert [(choice.option, dict(choice.when)) for choice in left.choices] == [
        ("learner.scale", {})
    ]
    with pytest.raises(UserError, match="fix all of them"):
        space.without({"learner.name": "ANIL", "net.hidden": [8]})


def test_every_learner_is_tried_as_it_comes() -> None:
    source = sinusoid()
    space = default_space(source)
    fixed = {"tasks.name": "sinusoid", "meta_batch": 4}
    tried = [space.options(choices) for choices in usual_choices(space, source, fixed)]
    names = ["MAML", "MetaSGD", "ANIL", "RidgeHead", "PriorHead", "NeuralProcess"]
    assert [options["learner.name"] for options in tried] == names
    assert [options.get("learner.inner_lr") for options in tried] == [0.01] * 3 + [None] * 3
    # What all trials share may fit some of them only.
    adapting = usual_choices(
        space.without({"learner.inner_steps": 2}), source, fixed | {"learner.inner_steps": 2}
    )
    assert len(adapting) == 3


@pytest.mark.parametrize("name", ["rows", "pictures", "regression"])
def test_every_default_space_holds_the_default_and_only_what_can_be_built(
    tmp_path: Path, name: str
) -> None:
    made = {"rows": blobs, "regression": sinusoid, "pictures": lambda: pictures(tmp_path)}
    source = made[name]()
    space = default_space(source)
    fixed = {"tasks.name": "sinusoid" if name == "regression" else "glyphs", "meta_batch": 4}
    default = space.options(usual_choices(space, source, fixed)[0])
    learner = {"regression": "MAML"}.get(name, "PrototypicalNetwork")
    assert default["learner.name"] == learner
    usual = flat(resolve(nested({**fixed, "learner.name": learner})))
    for option in ("outer_lr", "meta_batch", "schedule"):
        assert default[option] == usual[option]
    if name != "pictures":
        assert default["net.hidden"] == [40, 40]
    rng = torch.Generator().manual_seed(0)

    def any_of(choice: Choice) -> Any:
        place = float(torch.rand((), generator=rng))
        return choice.values[int(place * len(choice.values))] if choice.values else choice.at(place)

    for _ in range(40):
        options = {k: v for k, v in space.options(space.draw(any_of)).items() if v is not None}
        parsed = resolve(nested(fixed | options))
        specs = [{k: v for k, v in parsed[part].items() if v is not None}
                 for part in ("learner", "net")]  # fmt: skip
        catalog.build(specs[0], source, specs[1])


def test_a_space_is_read_as_it_is_printed(tmp_path: Path) -> None:
    for space in (space_of(NESTED), default_space(blobs()), default_space(sinusoid())):
        (tmp_path / "space.yaml").write_text(space_text(space))
        again = read_space(tmp_path / "space.yaml")
        assert again == space
        assert [*space.differences(again)] == []


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([], "needs a choice"),
        ({"outer_lr": 1}, "a list of choices"),
        ([{"option": "outer_lr", "low": 1e-4, "hihg": 1}], "with hihg"),
        ([{"values": [1]}], "has an option"),
        ([{"option": "outer_lr"}], "needs values, or low and high"),
        ([{"option": "outer_lr", "low": "1e-4", "high": 1}], "needs values, or low and high"),
        ([{"option": "outer_lr", "low": 2, "high": 1}], "low must be below high"),
        ([{"option": "outer_lr", "low": 0, "high": 1, "log": True}], "above 0"),
        ([{"option": "meta_batch", "low": 1.5, "high": 4, "whole": True}], "must be whole"),
        ([{"option": "outer_lr", "low": 1, "high": 2, "most": 1.5}], "must enclose"),
        ([{"option": "outer_lr", "low": 1, "high": 2, "usual": 3}], "usual must be"),
        ([{"option": "schedule", "values": ["halve", "halve"]}], "must be plain and differ"),
        ([{"option": "schedule", "values": "halve"}], "must be lists"),
        ([{"option": "schedule", "values": [[1]]}], "must be plain"),
        ([{"option": "schedule", "values": ["halve"], "low": 1}], "values or a range"),
        ([{"option": "clip", "values": [1], "when": {"schedule": ["halve"]}}], "choices before it"),
        ([{"option": "clip", "values": [1]}, {"option": "clip", "values": [2]}], "chosen once"),
    ],
)
def test_spaces_that_are_wrong(entries: Any, words: str) -> None:
    with pytest.raises(UserError, match=words) as raised:
        space_of(entries)
    assert str(raised.value).count(";") >= 2


def test_a_file_that_is_no_space(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="none that can be read"):
        read_space(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("- {option: [")
    with pytest.raises(UserError, match="none that can be read"):
        read_space(tmp_path / "bad.yaml")


def test_a_linear_model_is_in_the_space_of_regressions() -> None:
    """Learners that take the inputs as they are begin so, and the search may choose it."""
    source = catalog.build_tasks({"name": "sinusoid"})
    space = default_space(source)
    (depth,) = [choice for choice in space.choices if choice.option == "net.depth"]
    assert depth.least == 0
    options = flat(resolve({"learner": {"name": "PriorHead"}, "tasks": {"name": "sinusoid"}}))
    assert space.options(defaults(space, source, options))["net.hidden"] == []
    options = flat(resolve({"learner": {"name": "MAML"}, "tasks": {"name": "sinusoid"}}))
    assert space.options(defaults(space, source, options))["net.hidden"] == [40, 40]


def test_the_space_of_items_is_that_of_their_table(tmp_path: Path) -> None:
    write_ratings(tmp_path, make_ratings(n_users=40, n_items=60, least=30))
    source = catalog.build_tasks({"name": "ratings", "path": tmp_path})
    space = default_space(source)
    assert {choice.option for choice in space.choices} >= {"net.width", "net.relu"}
    fixed = {"tasks.name": "ratings", "tasks.path": str(tmp_path)}
    every = usual_choices(space, source, fixed)
    assert [each["learner.name"] for each in every] == ["PriorHead", "RidgeHead", "Pooled"]
    assert every[0]["net.width"] == 48
    assert every[0]["outer_lr"] == 0.01
    assert every[1]["learner.penalty (learner.name=RidgeHead)"] == 6.0
    for each in every:
        options = resolve(nested({**fixed, **space.options(each)}))
        built = catalog.build(
            {k: v for k, v in options["learner"].items() if v is not None}, source,
            {k: v for k, v in options["net"].items() if v is not None},
        )  # fmt: skip
        assert built.specs is not None
        assert built.specs["net"]["n_items"] == len(source.preprocess.ids)  # type: ignore[union-attr]
