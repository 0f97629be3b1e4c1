"""The libraries that quickstudy is compared with, each used as its own examples use it."""

from __future__ import annotations

import importlib.util
import io
import itertools
import sys
import types
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from contender import Contender, in_dtype
from ours import encoder
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler
from work import LR, N_CLASSES, PER_CLASS, Work, body, drawings, network, tasks

LANCZOS = Image.Resampling.LANCZOS


def bare(package: str) -> None:
    """Makes a package's modules importable without its `__init__`, which needs more than they."""
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations is not None
    module = types.ModuleType(package)
    module.__path__ = list(spec.submodule_search_locations)
    module.__spec__ = spec
    sys.modules[package] = module


def declare_torchvision_operators() -> torch.library.Library:
    """What importing torchvision asks for where its binaries do not load; to be kept alive."""
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library


def loss_of(prediction: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy for classes, else mean squared error."""
    if target.dtype == torch.long:
        return F.cross_entropy(prediction, target)
    return F.mse_loss(prediction, target)


def learn2learn_maml(work: Work, dtype: torch.dtype) -> Contender:
    bare("learn2learn")
    from learn2learn.algorithms.maml import MAML

    net, batch = network(work.net).to(dtype), in_dtype(work, dtype)
    maml = MAML(net, lr=LR[work.net], first_order=work.first_order)

    def step() -> None:
        net.zero_grad()
        for x, y, x_query, y_query in batch:
            learner = maml.clone()
            for _ in range(work.steps):
                learner.adapt(loss_of(learner(x), y))
            loss_of(learner(x_query), y_query).backward()

    return step, [*net.parameters()]


def higher_maml(work: Work, dtype: torch.dtype) -> Contender:
    import higher

    net, batch = network(work.net).to(dtype), in_dtype(work, dtype)
    optimizer = torch.optim.SGD(net.parameters(), lr=LR[work.net])

    def step() -> None:
        net.zero_grad()
        for x, y, x_query, y_query in batch:
            with higher.innerloop_ctx(net, optimizer, copy_initial_weights=False) as (copy, inner):
                for _ in range(work.steps):
                    inner.step(loss_of(copy(x), y))
                loss_of(copy(x_query), y_query).backward()

    return step, [*net.parameters()]


def torchopt_maml(work: Work, dtype: torch.dtype) -> Contender:
    """After TorchOpt's own example: one backward pass for the tasks of a step together."""
    import torchopt

    net, batch = network(work.net).to(dtype), in_dtype(work, dtype)
    parameters = [*net.parameters()]
    inner = torchopt.MetaSGD(net, lr=LR[work.net])

    def step() -> None:
        net.zero_grad()
        start = torchopt.extract_state_dict(net, by="reference", detach_buffers=True)
        inner_start = torchopt.extract_state_dict(inner, by="reference")
        losses = []
        for x, y, x_query, y_query in batch:
            for _ in range(work.steps):
                inner.step(loss_of(net(x), y))
            losses.append(loss_of(net(x_query), y_query))
            torchopt.recover_state_dict(net, start)
            torchopt.recover_state_dict(inner, inner_start)
        torch.stack(losses).sum().backward()

    return step, parameters


class Told(nn.Module):
    """A network that is told more than its input, and needs none of it."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor, **options: object) -> Tensor:
        return self.net(x)


def parallel_metalearn_maml(work: Work, dtype: torch.dtype) -> Contender:
    """Tasks side by side, as many as is fastest here, with its own batch norm as it asks."""
    from metalearn.algorithms import MAML
    from metalearn.inner_optimizers import InnerSGD
    from metalearn.loss import BaseLoss
    from metalearn.model_wrappers import MAML_Model
    from metalearn.nn_models.basic_layers.BatchNormalization import BatchNorm

    class Loss(BaseLoss):  # type: ignore[misc]
        def __init__(self, scale: int) -> None:
            super().__init__()
            self.scale = scale

        def forward(
            self, out_dict: dict[str, Tensor], targets: Tensor, *_: object, **__: object
        ) -> tuple[Tensor, Tensor]:
            found = self.scale * loss_of(out_dict["logits"], targets)
            return found, found.detach()

    net = network(work.net)
    for layers in [m for m in net.modules() if isinstance(m, nn.Sequential)]:
        for i, layer in enumerate(layers):
            if isinstance(layer, nn.BatchNorm2d):
                layers[i] = BatchNorm(layer.num_features, track_running_stats=False)
    model = MAML_Model(Told(net[:-1]), Told(net[-1])).to(dtype)
    inner = InnerSGD(model.get_fast_weights(), learn_lr=False).to(dtype)
    for lr in inner.parameters():
        lr.data.fill_(LR[work.net])  # It rounds its own to float32.
    outer = torch.optim.SGD(model.parameters(), lr=1.0)
    outer.step = lambda: None  # type: ignore[assignment, method-assign, misc]
    maml = MAML(
        model=model,
        optimizer=outer,
        inner_optimizer=inner,
        support_loss_fn=Loss(1),
        query_loss_fn=Loss(work.n_tasks),  # It averages over the tasks where the others sum.
        inner_steps=work.steps,
        chunk_size=80 if work.net == "mlp" else 4,
        device=torch.device("cpu"),
    )
    x, y, x_query, y_query = map(torch.stack, zip(*in_dtype(work, dtype), strict=True))
    batches = itertools.repeat((x, y, x_query, y_query))
    return lambda: maml.step(batches), [*model.parameters()]


def learn2learn_anil(work: Work, dtype: torch.dtype) -> Contender:
    """After learn2learn's own example: the body runs once, the head is cloned."""
    bare("learn2learn")
    from learn2learn.algorithms.maml import MAML

    net, batch = network(work.net).to(dtype), in_dtype(work, dtype)
    features, head = net
    maml = MAML(head, lr=LR[work.net])

    def step() -> None:
        net.zero_grad()
        for x, y, x_query, y_query in batch:
            learner = maml.clone()
            z, z_query = features(x), features(x_query)
            for _ in range(work.steps):
                learner.adapt(loss_of(learner(z), y))
            loss_of(learner(z_query), y_query).backward()

    return step, [*net.parameters()]


def prototypes_loss(z: Tensor, y: Tensor, z_query: Tensor, y_query: Tensor) -> Tensor:
    """As learn2learn's example of prototypical networks writes it, for sorted classes."""
    centres = z.view(int(y.max()) + 1, -1, z.shape[1]).mean(dim=1)
    logits = -(z_query.unsqueeze(1) - centres.unsqueeze(0)).square().sum(dim=2)
    return F.cross_entropy(logits, y_query)


def learn2learn_episode(work: Work, dtype: torch.dtype) -> Contender:
    net = body().to(dtype)
    ((x, y, x_query, y_query),) = in_dtype(work, dtype)

    def step() -> None:
        net.zero_grad()
        z = net(torch.cat([x, x_query]))
        prototypes_loss(z[: len(x)], y, z[len(x) :], y_query).backward()

    return step, [*net.parameters()]


def easyfsl_episode(work: Work, dtype: torch.dtype) -> Contender:
    keep = declare_torchvision_operators()
    bare("easyfsl")
    from easyfsl.methods.prototypical_networks import PrototypicalNetworks

    assert keep is not None
    net = PrototypicalNetworks(body().to(dtype))
    ((x, y, x_query, y_query),) = in_dtype(work, dtype)

    def step() -> None:
        net.zero_grad()
        net.process_support_set(x, y)
        F.cross_entropy(net(x_query), y_query).backward()

    return step, []  # Its distance is not squared, so its gradient is another one.


class Pictures(Dataset[tuple[Tensor, int]]):
    """The drawings as a data set of torch: tensors, or PNG files kept in memory."""

    def __init__(self, decoded: bool) -> None:
        x, y = drawings()
        self.x, self.y = torch.from_numpy(x).float() / 255, y.tolist()
        self.files: list[bytes] = []
        for picture in x if decoded else ():
            file = io.BytesIO()
            Image.fromarray(picture[0]).resize((105, 105)).convert("1").save(file, "png")
            self.files.append(file.getvalue())

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        if not self.files:
            return self.x[i], self.y[i]
        picture = Image.open(io.BytesIO(self.files[i])).convert("L").resize((28, 28), LANCZOS)
        return 1 - torch.from_numpy(np.array(picture))[None].float() / 255, self.y[i]


def easyfsl_loader(work: Work, n_tasks: int) -> DataLoader[object]:
    keep = declare_torchvision_operators()
    bare("easyfsl")
    # It passes an argument that samplers of today no longer take.
    Sampler.__init__ = lambda self, data_source=None: None  # type: ignore[method-assign]
    from easyfsl.datasets import WrapFewShotDataset
    from easyfsl.samplers import TaskSampler

    assert keep is not None
    dataset = WrapFewShotDataset(Pictures(work.decoded))
    sampler = TaskSampler(dataset, work.ways, work.shots, work.queries, n_tasks)
    return DataLoader(dataset, batch_sampler=sampler, collate_fn=sampler.episodic_collate_fn)


def easyfsl_sample(work: Work, dtype: torch.dtype) -> Contender:
    batches = iter(easyfsl_loader(work, 10**6))
    return lambda: next(batches), []


def easyfsl_train(work: Work, dtype: torch.dtype) -> Contender:
    batches = iter(easyfsl_loader(work, 10**6))
    from easyfsl.methods.prototypical_networks import PrototypicalNetworks

    net = PrototypicalNetworks(body())
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)

    def step() -> None:
        x, y, x_query, y_query, _ = next(batches)
        optimizer.zero_grad()
        net.process_support_set(x, y)
        F.cross_entropy(net(x_query), y_query).backward()
        optimizer.step()

    return step, []


def learn2learn_taskset(work: Work) -> Callable[[], tuple[Tensor, Tensor]]:
    bare("learn2learn")
    import learn2learn.utils  # noqa: F401  (its compiled parts take it for loaded)
    from learn2learn.data import MetaDataset, TaskDataset
    from learn2learn.data.transforms import (
        ConsecutiveLabels,
        KShots,
        LoadData,
        NWays,
        RemapLabels,
    )

    dataset = MetaDataset(Pictures(work.decoded))
    steps = [
        NWays(dataset, work.ways),
        KShots(dataset, work.shots + work.queries),
        LoadData(dataset),
        RemapLabels(dataset),
        ConsecutiveLabels(dataset),
    ]
    taskset = TaskDataset(dataset, task_transforms=steps, num_tasks=-1)
    return taskset.sample


def torchmeta_sample(work: Work, dtype: torch.dtype) -> Contender:
    keep = declare_torchvision_operators()
    bare("torchmeta")
    import torchmeta.utils.data as its
    from torchmeta.transforms import Categorical, ClassSplitter

    assert keep is not None
    # A subset of today that defines one way to get items must define both.
    its.SubsetTask.__getitems__ = lambda self, indices: [self[i] for i in indices]

    class Drawings(its.Dataset):  # type: ignore[misc]
        def __init__(self, pictures: Pictures, label: int, target_transform: object) -> None:
            super().__init__(label, target_transform=target_transform)
            self.pictures = pictures

        def __len__(self) -> int:
            return PER_CLASS

        def __getitem__(self, i: int) -> tuple[Tensor, int]:
            x, y = self.pictures[self.index * PER_CLASS + i]
            return x, self.target_transform(y)

    class Classes(its.ClassDataset):  # type: ignore[misc]
        num_classes = N_CLASSES

        def __init__(self) -> None:
            super().__init__(meta_train=True)
            self.pictures = Pictures(work.decoded)

        def __getitem__(self, label: int) -> Drawings:
            return Drawings(self.pictures, label, self.get_target_transform(label))

    dataset = its.CombinationMetaDataset(Classes(), work.ways, Categorical(work.ways))
    dataset = ClassSplitter(
        dataset, num_train_per_class=work.shots, num_test_per_class=work.queries
    )
    batches = iter(its.BatchMetaDataLoader(dataset, batch_size=1))
    return lambda: next(batches), []


def parts(work: Work, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Support and query of a sampled task, by position as in learn2learn's examples."""
    is_support = torch.arange(len(y)) % (work.shots + work.queries) < work.shots
    return x[is_support], y[is_support], x[~is_support], y[~is_support]


def learn2learn_sample(work: Work, dtype: torch.dtype) -> Contender:
    sample = learn2learn_taskset(work)
    return lambda: parts(work, *sample()), []


def learn2learn_train(work: Work, dtype: torch.dtype) -> Contender:
    sample, net = learn2learn_taskset(work), body()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)

    def step() -> None:
        x, y, x_query, y_query = parts(work, *sample())
        z = net(torch.cat([x, x_query]))
        loss = prototypes_loss(z[: len(x)], y, z[len(x) :], y_query)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step, []


def bare_convolutions(work: Work, dtype: torch.dtype) -> Contender:
    """The convolutions of second-order MAML alone, as bare calls on numbers of the same shapes."""
    backward = torch.ops.aten.convolution_backward

    def layers(n: int) -> list[tuple[Tensor, ...]]:
        found = []
        for c_in, side in ((1, 28), (64, 14), (64, 7), (64, 3)):
            shapes = ((n, c_in, side, side), (64, c_in, 3, 3), (n, 64, side, side))
            found.append(tuple(torch.rand(s).to(memory_format=torch.channels_last) for s in shapes))
        return found

    support, query = layers(work.ways * work.shots), layers(work.ways * work.queries)

    def forth(data: list[tuple[Tensor, ...]]) -> None:
        for x, w, _ in data:
            F.conv2d(x, w, None, padding=1)

    def back(data: list[tuple[Tensor, ...]]) -> None:
        for x, w, g in data:
            # Pictures need no gradient.
            needed = [x.shape[1] > 1, True, False]
            backward(g, x, w, [64], [1, 1], [1, 1], [1, 1], False, [0, 0], 1, needed)

    def step() -> None:
        for _ in range(work.n_tasks):
            for _ in range(work.steps):
                # The step's gradient; that gradient's own (by the slope twice, by input and weight
                # at once); and the step's again, with what came from it.
                forth(support)
                back(support)
                forth(support)
                forth(support[1:])
                back(support)
                back(support)
            forth(query)
            back(query)

    return step, []


def bare_network(work: Work, dtype: torch.dtype) -> Contender:
    """The forward pass alone, of the network as quickstudy runs it."""
    net = encoder("population").eval()
    ((x, _, x_query, _),) = tasks(work)
    both = torch.cat([x, x_query[:1]])

    def step() -> None:
        with torch.no_grad():
            net(both)

    return step, []


PEERS: dict[tuple[str, str], Callable[[Work, torch.dtype], Contender]] = {
    ("learn2learn", "maml"): learn2learn_maml,
    ("higher", "maml"): higher_maml,
    ("torchopt", "maml"): torchopt_maml,
    ("parallel-metalearn", "maml"): parallel_metalearn_maml,
    ("learn2learn", "anil"): learn2learn_anil,
    ("easyfsl", "episode"): easyfsl_episode,
    ("learn2learn", "episode"): learn2learn_episode,
    ("easyfsl", "train"): easyfsl_train,
    ("learn2learn", "train"): learn2learn_train,
    ("easyfsl", "sample"): easyfsl_sample,
    ("learn2learn", "sample"): learn2learn_sample,
    ("torchmeta", "sample"): torchmeta_sample,
    ("bare convolutions", "maml"): bare_convolutions,
    ("bare network", "answer"): bare_network,
}
