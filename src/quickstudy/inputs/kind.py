"""`InputKind`: what a user hands over, and what a network gets of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Self

from numpy.typing import NDArray
from torch import Tensor

from quickstudy.errors import UserError
from quickstudy.files.records import JSON
from quickstudy.inputs.frames import AS_KNOWN, Reading
from quickstudy.inputs.words import LeftOut
from quickstudy.task import Kind

Array = NDArray[Any]
Shape = tuple[int, ...]
Form = Literal["image", "row", "text", "series", "item", "smiles", "values"]
Modality = Literal["pictures", "rows", "texts", "series", "items", "molecules", "arrays"]


class Images(NamedTuple):
    """Inputs as people look at them.

    Attributes:
        values: `(n, height, width)`, or `(n, height, width, 3)` in colour, in 0 .. 1.
        ink: Whether they are ink 1 on paper 0, to be drawn dark on light.
    """

    values: Array
    ink: bool


class InputKind(ABC):
    """Everything that depends on what an input is: pictures, rows of a table, vectors.

    The same rules serve Python, scikit-learn, the command line, the server and the page: each is
    written once, in the kind, and takes plain values (arrays, paths, JSON). A kind is immutable and
    compares by value. Its JSON stands in run directories and task files, where a fingerprint of the
    model covers it.

    Attributes:
        form: Key under which a request gives one input.
        modality: What clients are told that the inputs are.
        reads_cells: Whether an input is cells of a table, which may be text or missing.
        writes_raw: Whether the inputs as people read them are written to task files, unless it is
            said otherwise; see `raw`.
        has_network: Whether a network encodes an input, so that it is worth to remember the result,
            and to encode several at once.

    Example:
        >>> kind = Vectors()  # an InputKind
        >>> x, single = kind.encode(X[:5], x_shape=(64,))
        >>> x.shape, single
        ((5, 64), False)
    """

    form: ClassVar[Form]
    modality: ClassVar[Modality]
    reads_cells: ClassVar[bool] = False
    has_network: ClassVar[bool] = False
    writes_raw: ClassVar[bool] = True

    @abstractmethod
    def encode(self, X: Any, x_shape: Shape) -> tuple[Array, bool]:
        """Inputs `(examples, *x_shape)`, and whether X was one example rather than many.

        A tensor of floating-point numbers is taken as encoded already.

        Raises:
            UserError: X holds no inputs of this kind and shape.
        """

    @abstractmethod
    def to_json(self) -> JSON | None:
        """All that `from_json` needs, and the name of the kind as `kind`."""

    @classmethod
    @abstractmethod
    def from_json(cls, data: JSON) -> Self:
        """The same kind from what `to_json` gave."""

    @abstractmethod
    def read_labelled(
        self, path: Path, target: str | None, targets: Kind, reading: Reading = AS_KNOWN
    ) -> tuple[Any, list[Any]]:
        """Examples of a file or folder, as `encode` takes them, and the label of each.

        Args:
            path: File or folder.
            target: Column of the labels, for a table.
            targets: Whether labels are classes or values.
            reading: How the cells of a table are to be taken.

        Raises:
            DataError: There is no such file or folder, or it cannot be read.
            UserError: It does not hold labelled examples.
        """

    @abstractmethod
    def read_queries(self, paths: Sequence[Path]) -> Sequence[Any]:
        """The inputs of files, each as `encode` takes it.

        Raises:
            DataError: A file cannot be read.
            UserError: It does not hold inputs of this kind.
        """

    def read_words(self, words: Sequence[str]) -> Sequence[Any]:
        """The inputs of the words of a command line: names of files, and texts for a kind of texts.

        Raises:
            DataError: A file cannot be read.
            UserError: It does not hold inputs of this kind.
        """
        return self.read_queries([Path(word) for word in words])

    @abstractmethod
    def from_request(self, form: Form, value: Any, x_shape: Shape) -> Any:
        """One input of a request, without what it came in: the pixels of a file, a row, numbers.

        Nested numbers are `values` for every kind: an input that is encoded already. What comes
        back is what `quickstudy.inputs.stored` writes and reads.

        Args:
            form: Key of the input in the request.
            value: The JSON under that key.
            x_shape: Shape of one encoded input.

        Raises:
            UserError: It is of another kind, or not what it says it is.
        """

    def pixels(self, form: Form, value: Any) -> int:
        """How many pixels `from_request` decodes; 0 where there are none or they cannot be read."""
        return 0

    @abstractmethod
    def to_request(self, x: Any) -> JSON:
        """An encoded input, as nested lists, as a request would give it."""

    @abstractmethod
    def card(self) -> JSON:
        """The description for clients beside the modality: `columns` and `drawings`."""

    def for_task(self, X: Any, y: Any, x_shape: Shape) -> tuple[InputKind, Any, Shape]:
        """The kind for the examples of one task, these examples as it takes them, and their shape.

        Only a kind whose rules differ from task to task says something of its own here.
        """
        return self, X, x_shape

    def raw(self, X: Any, single: bool) -> list[Any] | None:
        """The inputs in the form in which people read them, to be kept beside their encoding.

        None for a kind whose encoded inputs say all there is to see.

        Args:
            X: As `encode` takes it.
            single: Whether it is one example.
        """
        return None

    def prepare(self) -> None:
        """Loads all that encoding needs, so that the first input does not wait for it.

        Raises:
            UserError: A package is missing.
            DataError: It is there, and is not what it should be.
        """
        return

    def length(self, x: Any) -> int | None:
        """The length of an input, as `from_request` gives it: those of one length may share a pass.

        None for one that is to be encoded alone.

        Raises:
            UserError: It is no input of this kind.
        """
        return None

    def remarks(self, inputs: Iterable[Any]) -> list[str]:
        """Sentences on inputs, as `from_request` gives them, that are not taken as they are."""
        return []

    def caption(self, raw: Any) -> str | None:
        """The line by which people know an input that `raw` gave; None where they look at it."""
        return None

    def names(self, x: Tensor) -> list[str] | None:
        """The names by which an explanation calls encoded examples, such as times; or None."""
        return None

    def left_out(self, raw: Any) -> LeftOut | None:
        """The words of an input that `raw` gave, and it without each; None where it has none."""
        return None

    def check_labelled(self, x: Tensor, labels: Sequence[Any]) -> None:
        """Refuses examples that no task can have, such as an input with two labels.

        Args:
            x: Encoded inputs `(examples, *x_shape)`.
            labels: The label of each.

        Raises:
            UserError: There are some; says which.
        """
        return

    def in_order(self, classes: list[Any]) -> list[Any]:
        """The distinct labels of a task in the order of the targets' columns.

        Raises:
            UserError: Inputs of this kind have no such labels.
        """
        return classes

    def remaining(self, x: Tensor, others: Tensor) -> list[int]:
        """The examples that are learned from beside later ones; all but those that these replace.

        Args:
            x: Encoded inputs `(examples, *x_shape)`.
            others: Encoded inputs that come after them.
        """
        return list(range(len(x)))

    def examples_of(self, X: Any, most: int | None = None, before: int = 0) -> tuple[Any, Any]:
        """The examples and labels in inputs that are their own labels, such as a series.

        Args:
            X: The inputs.
            most: Examples of each at most, the latest ones.
            before: How many examples there are, which these come after in time.

        Raises:
            UserError: Inputs of this kind need labels.
        """
        raise UserError(
            f"adapt: every example needs a label; received {self.modality} without labels; pass y."
        )

    def spans(self, x: Tensor) -> tuple[Tensor, Tensor] | None:
        """When each encoded input is asked about, and when its label is known; None without times.

        A judgement that is true to time learns from what is known before it asks.

        Shapes:
            x (examples, *x) -> two of (examples,)
        """
        return None

    def repeated(self, x: Tensor) -> tuple[int, int] | None:
        """Two encoded examples of one input that counts once; None where there are none."""
        return None

    @property
    def label_ends(self) -> tuple[float, float] | None:
        """The least and the greatest value of a label; None where nothing bounds them."""
        return None

    @property
    def carried(self) -> int:
        """How many trailing numbers of an encoded input are carried along, seen by no network."""
        return 0

    @property
    def listed(self) -> Tensor | None:
        """All inputs there are, encoded `(inputs, *x_shape)`, of a kind that has a list of them."""
        return None

    @property
    def answer_shape(self) -> Shape | None:
        """Shape of the values of one answer of a regression; None for a row of them."""
        return None

    @property
    def net(self) -> JSON | None:
        """The network that suits these inputs; None where their shape decides."""
        return None

    def plain(self, value: Any) -> Any:
        """One of `raw` as `from_request` gives an input, which `quickstudy.inputs.stored` writes.

        Raises:
            UserError: It cannot be read any more.
        """
        return value

    @property
    def source_options(self) -> JSON:
        """Options of a source of tasks that give inputs of this kind."""
        return {}

    @property
    def runtime(self) -> JSON | None:
        """How inputs are encoded on this machine, where that decides no more than rounding.

        It is recorded beside the fingerprint of a model, not in it.
        """
        return None

    def with_runtime(self, runtime: JSON) -> InputKind:
        """The same kind that encodes as a record of `runtime` says, where that is possible here."""
        return self

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for the user on the data that the kind was made of."""
        return ()

    @property
    def features(self) -> list[str] | None:
        """The name of each number of an encoded input; None where they have none."""
        return None

    def images(self, x: Array) -> Images | None:
        """Encoded inputs `(n, *x_shape)` as images for people; None where they are none."""
        return None

    def refusal(self, form: Form) -> UserError:
        """The error of an input that a request gives in a form of another kind."""
        names = {"row": "a row", "text": "a text", "series": "a series", "item": "an item"}
        names["smiles"] = "a molecule"
        received = names.get(form, "an image")
        return UserError(
            f"input: this model takes {self.modality}; received {received}; give the input as "
            f"{self.form!r}."
        )
