"""Augmented tasks: what changes, what does not, and that it is a function of seed and index."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small import blobs, draw_classes, prototypical, quick, sinusoid
from torch import Tensor

from quickstudy import UserError
from quickstudy.catalog import build, build_tasks
from quickstudy.cli.main import main
from quickstudy.evaluation.meta_test import evaluate
from quickstudy.evaluation.scores import calibrate_population
from quickstudy.task import Task
from quickstudy.tasks import SPLITS, Augmented, Episodes, GroupedRows, arrays
from quickstudy.tasks.augment import box, warped

N_CLASSES, N_EXAMPLES, SIDE = 30, 8, 16
ALL: dict[str, Any] = {"rotations": True, "mix": "cutmix", "mix_share": 1.0, "warp": 0.2}
EACH: list[dict[str, Any]] = [
    {"rotations": True},
    {"mix": "mixup"},
    {"mix": "cutmix"},
    {"warp": 0.1},
    ALL,
]


def noise(**drawing: Any) -> Episodes:
    """Pictures that are all different."""
    x = np.random.default_rng(0).integers(256, size=(N_CLASSES * N_EXAMPLES, 1, SIDE, SIDE))
    return of(x.astype(np.uint8), **drawing)


def marked() -> Episodes:
    """The first channel shines at the number of the class, the second at that of the example."""
    x = np.zeros((N_CLASSES, N_EXAMPLES, 2, SIDE * SIDE), dtype=np.uint8)
    for c in range(N_CLASSES):
        x[c, :, 0, c] = 255
        for i in range(N_EXAMPLES):
            x[c, i, 1, i] = 255
    return of(x.reshape(-1, 2, SIDE, SIDE))


def of(x: Any, n_way: Any = 5, n_shot: Any = 2, n_query: int = 3) -> Episodes:
    classes = np.arange(N_CLASSES).repeat(N_EXAMPLES)
    return Episodes(arrays(x, classes), n_way, n_shot, n_query, seed=3)


def rows(task: Task, c: int) -> tuple[Tensor, Tensor]:
    """Inputs of a class in the support and in the query."""
    support, query = (part.x[part.y.argmax(dim=1) == c] for part in task)
    return support, query


def same(a: Task, b: Task) -> bool:
    parts = zip((t for p in a for t in p), (t for p in b for t in p), strict=True)
    return all(torch.equal(one, other) for one, other in parts)


@pytest.mark.parametrize("options", EACH, ids=str)
def test_tasks_are_a_function_of_seed_and_index(options: dict[str, Any]) -> None:
    source = noise()
    ours, again = (Augmented(source, **options, seed=1) for _ in range(2))
    first = [ours.task("train", i) for i in range(6)]
    assert all(same(first[i], again.task("train", i)) for i in reversed(range(6)))
    other = Augmented(source, **options, seed=2)
    assert not all(same(first[i], other.task("train", i)) for i in range(6))
    assert not all(same(first[i], source.task("train", i)) for i in range(6))


@pytest.mark.parametrize("options", EACH, ids=str)
def test_targets_shapes_and_range_stay(options: dict[str, Any]) -> None:
    source = noise()
    ours = Augmented(source, **options)
    for i in range(6):
        task, plain = ours.task("train", i), source.task("train", i)
        for part, before in zip(task, plain, strict=True):
            assert torch.equal(part.y, before.y)
            assert torch.equal(part.weight, before.weight)
            assert part.x.shape == before.x.shape
            assert part.x.dtype == before.x.dtype
            assert 0 <= part.x.min() <= part.x.max() <= 1
    batch = ours.batch("train", [0, 1])
    torch.testing.assert_close(batch.query.x[1], ours.task("train", 1).query.x)


def test_only_meta_train_is_changed() -> None:
    source = noise()
    ours = Augmented(source, **ALL)
    for split in SPLITS[1:]:
        for i in range(4):
            assert same(ours.task(split, i), source.task(split, i))
    pairs = zip(ours.disjoint("test"), source.disjoint("test"), strict=True)
    assert all(same(a, b) for a, b in pairs)


def test_what_else_is_known_of_the_tasks_passes_through() -> None:
    source = noise()
    ours = Augmented(source, **ALL)
    for name in ("kind", "x_shape", "n_out", "preprocess"):
        assert getattr(ours, name) == getattr(source, name)
    assert ours.untouched is source
    assert source.untouched is source
    resized = ours.resized(n_way=3, n_shot=1)
    assert resized == Augmented(source.resized(3, 1), **ALL)
    assert resized.task("train", 0).support.x.shape == (3, 1, SIDE, SIDE)
    described = ours.describe()
    assert json.loads(json.dumps(described)) == described
    assert described["augment"] == {**ALL, "seed": 0}
    assert {k: v for k, v in described.items() if k != "augment"} == source.describe()


def test_a_class_is_turned_alike_in_support_and_query() -> None:
    source = noise(n_way=(3, 5), n_shot=(1, 3))
    ours, seen = Augmented(source, rotations=True), set()
    for i in range(10):
        task, plain = ours.task("train", i), source.task("train", i)
        for c in range(task.support.y.shape[1]):
            fits = [
                k
                for k in range(4)
                if all(
                    torch.equal(now, torch.rot90(before, k, (2, 3)))
                    for now, before in zip(rows(task, c), rows(plain, c), strict=True)
                )
            ]
            assert len(fits) == 1
            seen.add((c, fits[0]))
    assert {k for _, k in seen} == {0, 1, 2, 3}
    assert len(seen) > 10, "classes of a task are turned independently"


def test_mixup_pairs_each_class_with_one_of_another_task() -> None:
    source = marked()
    ours, shares = Augmented(source, mix="mixup", mix_share=1.0), []
    for i in range(20):
        task, plain = ours.task("train", i), source.task("train", i)
        partners, of_task = set(), set()
        for c in range(5):
            used: list[set[int]] = []
            for now, before in zip(rows(task, c), rows(plain, c), strict=True):
                own = int(before[0, 0].argmax())
                first, second = now[:, 0].flatten(1).clone(), now[:, 1].flatten(1)
                of_task |= {round(v, 5) for v in first[:, own].tolist()}
                first[:, own] = 0
                partners.add((c, *{int(p) for p in first.argmax(dim=1)}))
                share = now[0, 0].flatten()[own]
                used.append({int(p) for p in (second - share * before[:, 1].flatten(1)).argmax(1)})
            assert not used[0] & used[1], "an example of the partner is in one part only"
        if 1.0 in of_task:  # A class was paired with itself.
            continue
        assert len(partners) == 5, "a class has one partner, in both parts"
        assert len({p for _, p in partners}) == 5, "and no two classes share it"
        assert len(of_task) == 1, "one share for the whole task"
        shares.append(of_task.pop())
    assert max(shares) - min(shares) > 0.5


def test_cutmix_pastes_the_same_box_into_the_whole_task() -> None:
    x = np.repeat(np.arange(N_CLASSES) * 8, N_EXAMPLES)[:, None, None, None]
    source = of(np.broadcast_to(x, (len(x), 1, SIDE, SIDE)).astype(np.uint8))
    ours, sizes = Augmented(source, mix="cutmix", mix_share=1.0), []
    for i in range(20):
        task, plain = ours.task("train", i), source.task("train", i)
        boxes = []
        for c in range(5):
            now, before = torch.cat(rows(task, c)), torch.cat(rows(plain, c))
            assert torch.equal(now, now[:1].expand_as(now))
            changed = (now != before)[0, 0]
            assert len({*now[0, 0][changed].tolist()}) <= 1
            boxes.append(changed)
        # A class may be paired with itself, so that nothing of it changes.
        box = torch.stack(boxes).any(dim=0)
        assert all(torch.equal(one, box) or not one.any() for one in boxes)
        side = torch.nonzero(box)
        if len(side):
            height, width = (side.max(dim=0).values - side.min(dim=0).values + 1).tolist()
            assert height * width == int(box.sum()), "the box is a rectangle"
        sizes.append(float(box.double().mean()))
    assert min(sizes) < 0.2
    assert max(sizes) > 0.4


def test_a_share_of_the_tasks_is_mixed() -> None:
    source = noise()
    for share, low, high in ((0.0, 0, 0), (0.5, 10, 30), (1.0, 40, 40)):
        ours = Augmented(source, mix="mixup", mix_share=share)
        n = sum(not same(ours.task("train", i), source.task("train", i)) for i in range(40))
        assert low <= n <= high


class Given:
    """Stands for random numbers, such as angle, log of the scale, shear, and two shifts."""

    def __init__(self, *values: float) -> None:
        self.values = values

    def uniform(self, low: float, high: float, size: tuple[int, int]) -> Any:
        return np.broadcast_to(np.array(self.values), size).copy()

    def random(self, n: int) -> Any:
        return np.array(self.values)


def test_the_box_has_the_share_of_the_partner() -> None:
    mask = box(torch.zeros(1, 1, 20, 40), 0.75, Given(0.5, 0.25))  # type: ignore[arg-type]
    want = torch.ones(20, 40)
    want[5:15, :20] = 0
    assert torch.equal(mask, want)


def warp(x: Tensor, *values: float) -> Tensor:
    return warped(x, 1.0, Given(*values))  # type: ignore[arg-type]


def test_warps_by_hand() -> None:
    x = torch.rand(3, 2, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(warp(x, 0, 0, 0, 0, 0), x, atol=1e-5, rtol=0)
    turned = warp(x, np.pi / 2, 0, 0, 0, 0)
    torch.testing.assert_close(turned, torch.rot90(x, 1, (2, 3)), atol=1e-4, rtol=0)
    moved = warp(x, 0, 0, 0, 4 / SIDE, -2 / SIDE)  # 2 pixels and 1 pixel of 16
    torch.testing.assert_close(moved[:, :, 1:, :-2], x[:, :, :-1, 2:], atol=1e-4, rtol=0)
    border = moved[:, :, 5, -3:-2].expand(-1, -1, 2)
    torch.testing.assert_close(moved[:, :, 5, -2:], border, atol=1e-5, rtol=0)
    doubled = warp(x[:, :, ::2, ::2].repeat_interleave(2, 2).repeat_interleave(2, 3), 0, 0, 0, 0, 0)
    halved = warp(doubled, 0, float(np.log(2)), 0, 0, 0)[:, :, 4:12, 4:12]
    torch.testing.assert_close(halved, x[:, :, ::2, ::2], atol=1e-4, rtol=0)
    line = torch.zeros(1, 1, SIDE, SIDE)
    line[..., 8] = 1
    sheared = warp(line, 0, 0, 1.0, 0, 0)[0, 0]
    # Row r lies r - 7.5 below the middle, and is read that far to the right.
    places = (sheared * torch.arange(SIDE)).sum(dim=1) / sheared.sum(dim=1)
    torch.testing.assert_close(places[1:], 15.5 - torch.arange(1.0, SIDE))


def test_a_picture_that_is_not_square_keeps_its_angles() -> None:
    x = torch.rand(1, 1, 10, 20, generator=torch.Generator().manual_seed(0))
    turned = warp(x, np.pi / 2, 0, 0, 0, 0)
    middle = torch.rot90(x[..., 5:15], 1, (2, 3))
    torch.testing.assert_close(turned[..., 5:15], middle, atol=1e-4, rtol=0)


def test_each_example_is_warped_by_its_own_numbers_within_the_bound() -> None:
    x = torch.zeros(200, 1, SIDE, SIDE)
    x[..., 6:10, 6:10] = 1
    seen = warped(x, 0.1, np.random.default_rng(0))
    assert len({tuple(picture) for picture in seen.flatten(1).tolist()}) == 200
    at = torch.arange(SIDE) - (SIDE - 1) / 2
    for axis in (2, 3):
        mass = seen.sum(dim=axis)[:, 0]
        middle = (mass * at).sum(dim=1) / mass.sum(dim=1)
        assert 0.5 < middle.abs().max() <= 0.1 * SIDE / 2 * np.exp(0.1) * 1.2


def test_rows_and_groups_are_mixed_too() -> None:
    rows_of_numbers = blobs(n_query=4)
    ours = Augmented(rows_of_numbers, mix="mixup", mix_share=1.0)
    assert not same(ours.task("train", 0), rows_of_numbers.task("train", 0))
    rng = np.random.default_rng(0)
    # Groups of two to four classes, some with a single row that is in the support only.
    y = np.array(["a", "a", "a", "b", "b", "c", "a", "a", "d", "d", "e", "e", "b", "b", "b"])
    groups = [np.arange(6), np.arange(6, 12), np.arange(12, 15)]
    table = GroupedRows(
        "table",
        rng.normal(size=(len(y), 3)).astype(np.float32),
        y,
        {"train": groups[:2]},
        "classification",
        {},
    )
    ours_of_groups = Augmented(table, mix="mixup", mix_share=1.0)
    both = [(ours_of_groups.task("train", i), table.task("train", i)) for i in range(20)]
    for task, plain in both:
        assert torch.equal(task.query.y, plain.query.y)
        assert task.query.x.shape == plain.query.x.shape
    assert sum(not same(task, plain) for task, plain in both) > 10


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        (blobs, {"rotations": True}, r"for pictures; received rows of numbers of shape \(2,\)"),
        (blobs, {"mix": "cutmix"}, "for pictures"),
        (blobs, {"warp": 0.1}, "for pictures"),
        (sinusoid, {"mix": "mixup"}, "new classes; received .* tasks of regression"),
        (noise, {"mix": "mixmix"}, "mixup or cutmix; received 'mixmix'"),
        (noise, {"warp": -0.1}, "within 0 .. 1"),
        (noise, {"mix_share": 2.0}, "within 0 .. 1"),
    ],
)
def test_what_cannot_be_augmented_is_refused(
    source: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        Augmented(source(), **options)


def test_pictures_that_are_not_square_are_not_turned() -> None:
    x = np.zeros((N_CLASSES * N_EXAMPLES, 1, 8, 10), dtype=np.uint8)
    with pytest.raises(UserError, match="only square pictures"):
        Augmented(of(x), rotations=True)
    Augmented(of(x), warp=0.1, mix="cutmix").task("train", 0)


def test_batches_of_all_classes_are_only_warped() -> None:
    source = noise()
    flat = Augmented(source, warp=0.1).flat()
    assert flat.n_out == source.flat().n_out
    task, plain = flat.task("train", 0), source.flat().task("train", 0)
    assert not torch.equal(task.query.x, plain.query.x)
    assert torch.equal(task.query.y, plain.query.y)
    with pytest.raises(UserError, match="use warp alone"):
        Augmented(source, rotations=True, warp=0.1).flat()


def test_statistics_and_results_are_those_of_the_untouched_tasks() -> None:
    source = noise()
    net = {"name": "Conv4", "hidden": 4, "norm": "population"}
    learner = build("PrototypicalNetwork", source, net=net)
    found = []
    for family in (source, Augmented(source, **ALL)):
        calibrate_population(learner, family, n_tasks=2)
        found.append({name: b.clone() for name, b in learner.named_buffers()})
        result = evaluate(learner, family, "train", n_tasks=3, with_baselines=False)
        found.append({"mean": torch.tensor(result["accuracy"])})
    torch.testing.assert_close(found[2], found[0], rtol=0, atol=0)
    torch.testing.assert_close(found[3], found[1], rtol=0, atol=0)


def test_options_of_the_spec_are_checked() -> None:
    with pytest.raises(UserError, match=r"unknown option 'wrap'.*did you mean 'warp'"):
        build_tasks({"name": "glyphs", "augment": {"wrap": 0.1}})


def test_the_command_line_augments_and_the_run_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = draw_classes(tmp_path / "data", 12, 6, size=16)
    argv = ["train", "--tasks=folder", f"--tasks.path={data}", "--tasks.size=16", "--net.hidden=4"]
    argv += ["--n-way=2", "--n-query=2", "--steps=2", "--valid-tasks=2", "--seed=5"]
    plain, ours = tmp_path / "plain", tmp_path / "ours"
    assert main([*argv, f"--out={plain}"]) == 0
    asked = [
        "--tasks.augment.rotations",
        "--tasks.augment.mix=mixup",
        "--tasks.augment.warp",
        "0.1",
    ]
    assert main([*argv, *asked, f"--out={ours}"]) == 0
    spec = json.loads((plain / "run.json").read_text())["tasks_spec"]
    record = json.loads((ours / "run.json").read_text())
    assert "augment" not in spec
    options = {"rotations": True, "mix": "mixup", "mix_share": 0.5, "warp": 0.1}
    assert record["tasks_spec"] == {**spec, "augment": options}
    assert record["tasks"]["augment"] == {**options, "seed": 5}
    source = build_tasks(record["tasks_spec"])
    assert isinstance(source, Augmented)
    assert source.seed == 5
    assert main(["train", f"--resume={ours}", "--steps=3"]) == 0
    assert main(["evaluate", str(ours), "--n-tasks=2", "--baselines=false", "--curves=false"]) == 0
    config = tmp_path / "config.yaml"
    config.write_text("tasks: {name: folder, augment: {warp: 0.25}}\n")
    assert main([*argv, f"--config={config}", f"--out={tmp_path / 'yaml'}"]) == 0
    record = json.loads((tmp_path / "yaml" / "run.json").read_text())
    assert record["tasks_spec"]["augment"]["warp"] == 0.25


def test_a_learner_is_meta_trained_on_augmented_rows() -> None:
    source = Augmented(blobs(), mix="mixup")
    result = quick(source, prototypical(source), None)
    assert result.skipped == 0
