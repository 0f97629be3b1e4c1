"""The run directory: what meta-training leaves behind, and reads again.

    run.json            what was trained, on what, how far; names the files below with their sha256
    weights-*.safetensors     the best meta-parameters so far
    resume-*.safetensors      all that training needs to go on
    metrics.jsonl       one line a record

Every file is written to a temporary name, flushed to disk and renamed; `run.json` comes last and
names the files that belong together, so a run killed at any moment can be loaded and resumed.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from quickstudy.errors import CheckpointError, UserError
from quickstudy.files import lock
from quickstudy.files.atomic import explained, replaced, write_atomically
from quickstudy.files.records import JSON

FORMAT = 1
TIED = "quickstudy.tied"
"""Entry of a file's metadata: names of tensors, by the name under which each was written."""
NOT_A_MODEL = (
    *(ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError),
    ValueError,
)


def tensors_to_bytes(tensors: dict[str, Tensor], header: JSON | None = None) -> bytes:
    """Tensors and a JSON header as one safetensors file; tied tensors are written once."""
    return safetensors.torch.save(*_as_written(tensors, header))


def save_tensors(path: Path, tensors: dict[str, Tensor], header: JSON | None = None) -> None:
    """Writes the file of `tensors_to_bytes`, of which memory holds no copy.

    Raises:
        UserError: The place cannot be written.
        OSError: The disk is full or broken; the old file is left as it was.
    """
    own, metadata = _as_written(tensors, header)
    with explained(path), replaced(path) as temporary:
        temporary.touch(exist_ok=False)
        try:
            safetensors.torch.save_file(own, temporary, metadata)
        except SafetensorError as error:
            raise OSError(str(error)) from error


def _as_written(
    tensors: dict[str, Tensor], header: JSON | None
) -> tuple[dict[str, Tensor], dict[str, str] | None]:
    """The tensors and the metadata of a safetensors file."""
    # Keys are not sorted: the order of a table's columns is that of the inputs.
    metadata = {} if header is None else {"quickstudy": json.dumps(header)}
    first: dict[Any, str] = {}  # the name under which these numbers in memory are written
    tied = {name: first.setdefault(_place(t), name) for name, t in tensors.items()}
    tied = {name: other for name, other in tied.items() if other != name}
    if tied:
        metadata[TIED] = json.dumps(tied)
    own = {n: t.detach().cpu().contiguous() for n, t in tensors.items() if n not in tied}
    storages = [t.untyped_storage().data_ptr() for t in own.values()]
    for (name, t), storage in zip([*own.items()], storages, strict=True):
        if storages.count(storage) > 1:  # parts of one tensor, such as the gates of an LSTM
            own[name] = t.clone()
    return own, metadata or None


def _place(t: Tensor) -> Any:
    """The place of a tensor's numbers in memory; two tensors of one place are tied."""
    if not t.numel():
        return id(t)
    return t.device, t.data_ptr(), t.dtype, t.shape, t.stride()


def tensors_from_bytes(content: bytes, name: str) -> tuple[dict[str, Tensor], JSON]:
    """The tensors and header of `tensors_to_bytes`.

    Raises:
        CheckpointError: The content is not a safetensors file written by quickstudy.
    """
    try:
        tensors = safetensors.torch.load(content)
        length = int.from_bytes(content[:8], "little")
        metadata = json.loads(content[8 : 8 + length]).get("__metadata__", {})
        header = json.loads(metadata.get("quickstudy", "{}"))
        for tied, written in json.loads(metadata.get(TIED, "{}")).items():
            tensors[tied] = tensors[written]
    except (SafetensorError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise CheckpointError(
            f"{name}: expected a safetensors file written by quickstudy; received something else "
            f"({error}); restore the file from a copy, or make it again."
        ) from error
    if not isinstance(header, dict):
        raise CheckpointError(
            f"{name}: expected a JSON object in the header; received {type(header).__name__}; "
            "restore the file from a copy, or make it again."
        )
    return tensors, header


@contextmanager
def reading_model(where: str) -> Iterator[None]:
    """Turns every error that a well-formed file of wrong content causes into a CheckpointError."""
    try:
        yield
    except NOT_A_MODEL as error:
        raise CheckpointError(
            f"{where}: expected a model that this quickstudy can build, with its weights; received "
            f"another ({type(error).__name__}: {error}); use the version that wrote it, pass the "
            "learner that was trained, or train again."
        ) from error


def tensor_seal(header: dict[str, Any], tensors: dict[str, Tensor]) -> str:
    """The sha256 of a header and of the tensors it goes with."""
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in sorted(tensors):
        t = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {t.dtype} {tuple(t.shape)}".encode())
        digest.update(t.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with a prefix, without it."""
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


def missing_run(path: Path, models: Sequence[str] = ()) -> CheckpointError:
    """The error of a path where no run is, and the models that could be named in its place."""
    is_folder = path.is_dir()
    received = "a folder without one" if is_folder else "no such folder"
    advice = "give the --out of a quickstudy train"
    if is_folder and str(path) in models:
        received += f", which stands before the model {path} that comes with quickstudy"
        advice += ", or rename the folder"
    elif models:
        advice += f", or the name of a model: {', '.join(models)}"
    return CheckpointError(
        f"run directory {path}: expected a run.json; received {received}; {advice}."
    )


class RunDirectory:
    """A run directory opened for reading or writing.

    Args:
        path: The folder.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._began, self._made_folder = False, False

    @property
    def exists(self) -> bool:
        """Whether a run was saved here."""
        return (self.path / "run.json").is_file()

    def locked(self) -> AbstractContextManager[None]:
        """Lets one process train this run: it holds a lock, which ends with it.

        Raises:
            UserError: Another process trains it, or the folder cannot be written.
        """
        return lock.locked(self.path, "trained")

    def check_free(self) -> None:
        """Refuses a folder in which no run can begin.

        Raises:
            UserError: It holds a run, or other files.
        """
        inside = list(self.path.iterdir()) if self.path.is_dir() else []
        # Temporary files and the lock of a killed process do not count.
        if any(each.suffix != ".tmp" and each.name != lock.NAME for each in inside):
            what = "a run" if self.exists else "other files"
            raise UserError(
                f"run directory {self.path}: must be new or empty; received a folder with {what}; "
                "choose another --out, or continue a run with --resume."
            )

    def create(self, record: JSON) -> None:
        """Starts a run; `record` says what is trained on what.

        Raises:
            UserError: The folder holds a run, or other files.
        """
        self.check_free()
        self._made_folder = not self.path.exists()
        self._write({"format": FORMAT, "files": {}, **record})
        self._began = True

    def discard(self) -> None:
        """Removes the run if `create` began it here, and the folder if it was made for it."""
        if not self._began:
            return
        for each in self.path.iterdir():
            if each.name != lock.NAME:
                shutil.rmtree(each) if each.is_dir() else each.unlink()
        if self._made_folder and not any(self.path.iterdir()):
            self.path.rmdir()
        self._began = False

    def read(self) -> JSON:
        """The record of the run.

        Raises:
            CheckpointError: No run is here, it is of another format, or it was altered.
        """
        if not self.exists:
            raise missing_run(self.path)
        try:
            record = json.loads((self.path / "run.json").read_bytes())
            seal = record.pop("sha256")
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise CheckpointError(
                f"{self.path / 'run.json'}: expected the record of a run; received something else "
                f"({type(error).__name__}: {error}); restore it from a copy, or train again."
            ) from error
        if record.get("format") != FORMAT:
            raise CheckpointError(
                f"{self.path / 'run.json'}: this quickstudy reads format {FORMAT}; received format "
                f"{record.get('format')!r}, written by quickstudy {record.get('version', '?')}; "
                "use that version, or train again."
            )
        if seal != _seal(record):
            raise CheckpointError(
                f"{self.path / 'run.json'}: the sha256 of the record does not match; received an "
                "altered file; restore it from a copy, or train again."
            )
        files = record.get("files")
        if not isinstance(files, dict) or not all(map(_is_entry, files.values())):
            raise CheckpointError(
                f"{self.path / 'run.json'}: expected a name and a sha256 for each file; received "
                f"{files!r}; restore it from a copy, or train again."
            )
        return record

    def save(self, record: JSON, files: dict[str, bytes]) -> None:
        """Writes files and then the record that names them; files it no longer names are removed.

        Args:
            record: As read, with its changes; `files` in it is kept up.
            files: Content by role, `"weights"` or `"resume"`.
        """
        step = record["step"]
        for role, content in files.items():
            # The digest in the name keeps the files that the record on disk still names.
            digest = hashlib.sha256(content).hexdigest()
            name = f"{role}-{step:08d}-{digest[:8]}.safetensors"
            write_atomically(self.path / name, content)
            record["files"][role] = {"name": name, "sha256": digest}
        self._write(record)
        named = {entry["name"] for entry in record["files"].values()}
        for old in [*self.path.glob("*-????????-????????.safetensors"), *self.path.glob(".*.tmp")]:
            if old.name not in named:
                old.unlink(missing_ok=True)

    def load(self, role: str) -> tuple[dict[str, Tensor], JSON]:
        """The tensors and header of a file that the record names.

        Raises:
            CheckpointError: There is none, or it is not the one that was written.
        """
        content = self.content(role)
        return tensors_from_bytes(content, str(self.path / self.read()["files"][role]["name"]))

    def content(self, role: str) -> bytes:
        """The content of a file that the record names.

        Raises:
            CheckpointError: There is none, or it is not the one that was written.
        """
        entry = self.read()["files"].get(role)
        if entry is None:
            raise CheckpointError(
                f"run directory {self.path}: expected saved {role}; received a run that was "
                "stopped before its first checkpoint; continue it with quickstudy train --resume."
            )
        path = self.path / entry["name"]
        if path.parent != self.path or not path.is_file():
            raise CheckpointError(
                f"{path}: expected this file of the run; received none; restore it from a copy, "
                "or train again."
            )
        content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        if digest != entry["sha256"]:
            raise CheckpointError(
                f"{path}: expected sha256 {entry['sha256'][:16]}...; received {digest[:16]}...: "
                "the file is damaged or was altered; restore it from a copy, or train again."
            )
        return content

    def log(self, row: JSON) -> None:
        """Appends a record to metrics.jsonl."""
        with (self.path / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def metrics(self) -> Iterator[JSON]:
        """The records of metrics.jsonl; a last line cut short is left out."""
        path = self.path / "metrics.jsonl"
        if path.is_file():
            for line in path.read_text(encoding="utf-8").splitlines():
                try:
                    yield json.loads(line)
                except ValueError:
                    continue

    def forget_metrics_after(self, step: int) -> None:
        """Drops the records of steps that a resumed run will take again."""
        rows = [row for row in self.metrics() if row["step"] <= step]
        content = "".join(json.dumps(row) + "\n" for row in rows)
        write_atomically(self.path / "metrics.jsonl", content.encode())

    def _write(self, record: JSON) -> None:
        sealed = {**record, "sha256": _seal(record)}
        write_atomically(self.path / "run.json", json.dumps(sealed, indent=2).encode())


def _is_entry(entry: Any) -> bool:
    return isinstance(entry, dict) and all(
        isinstance(entry.get(key), str) for key in ("name", "sha256")
    )


def _seal(record: JSON) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def optimizer_to(optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], JSON]:
    """The state of an optimizer as tensors and JSON.

    Raises:
        UserError: The optimizer keeps something else than tensors and plain values.
    """
    state = optimizer.state_dict()
    tensors: dict[str, Tensor] = {}
    plain: JSON = {"param_groups": state["param_groups"], "state": {}}
    for index, values in state["state"].items():
        for key, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer/{index}/{key}"] = value
            elif value is None or isinstance(value, int | float | bool | str):
                plain["state"].setdefault(str(index), {})[key] = value
            else:
                raise UserError(
                    f"outer optimizer {type(optimizer).__name__}: its state must be tensors and "
                    f"plain values to be saved; received {key!r} of type {type(value).__name__}; "
                    "choose another optimizer."
                )
    return tensors, plain


def optimizer_from(
    optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor], plain: JSON
) -> None:
    """Restores what `optimizer_to` gave.

    Raises:
        ValueError: It was given by another kind of optimizer.
    """
    groups = zip(optimizer.param_groups, plain["param_groups"], strict=True)
    if any(mine.keys() != saved.keys() for mine, saved in groups):
        raise ValueError(f"the options are not those of {type(optimizer).__name__}")
    state: dict[int, JSON] = {int(i): dict(values) for i, values in plain["state"].items()}
    for name, value in tensors.items():
        if name.startswith("optimizer/"):
            _, index, key = name.split("/", 2)
            state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": plain["param_groups"]})
    # torch casts state to the type of the parameters; NAdam keeps float32 products in float64.
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for i, values in state.items():
        for key, value in values.items():
            if isinstance(value, Tensor) and key != "step":
                optimizer.state[parameters[i]][key] = value.to(parameters[i].device)
