"""`quickstudy cache`: the features of encoders that are kept on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from quickstudy.cli.console import print_json, print_table
from quickstudy.cli.options import Parser
from quickstudy.encoders.stock import Stock, clear, set_limit, stock
from quickstudy.errors import UserError

EXAMPLES = """\
examples:
  quickstudy cache                    where it is, how large, and of which encoders
  quickstudy cache clear sentences    drop the features of one encoder; without a name, of all
  quickstudy cache limit 20GB         keep at most so much; what was not used for longest is dropped

What is dropped is computed again when it is needed. QUICKSTUDY_CACHE names another folder;
QUICKSTUDY_FEATURES=off keeps nothing, and =float16 keeps features in half the room.
"""


def cache(argv: Sequence[str]) -> int:
    """Show, clear or limit the features of encoders that are kept on this machine."""
    parser = Parser(prog="quickstudy cache", description=EXAMPLES)
    parser.add_argument(
        "action",
        nargs="?",
        choices=["show", "clear", "limit"],
        default="show",
        help="What to do.",
    )
    parser.add_argument(
        "value",
        nargs="?",
        type=str,
        default=None,
        help="To clear, the name of an encoder; to limit, a size.",
    )
    parser.add_argument("--json", type=bool, default=False, help="Whether to print JSON.")
    options = parser.read(argv)
    action, value = options.action, options.value
    if action == "clear":
        _print({"freed": clear(value)}, "freed {freed}", options.json)
    elif action == "limit":
        if value is None:
            raise UserError("cache limit: needs a size; received none; give one such as 20GB.")
        _print({"limit": set_limit(value)}, "at most {limit} are kept", options.json)
    elif value is not None:
        raise UserError(
            f"cache show: shows all that is kept; received {value!r} beside it; leave it out."
        )
    elif options.json:
        print_json(stock().to_json())
    else:
        _print_stock(stock())
    return 0


def _print(numbers: dict[str, int], sentence: str, as_json: bool) -> None:
    """Prints numbers of bytes, as JSON or in a sentence."""
    if as_json:
        print_json(numbers)
    else:
        print(sentence.format(**{name: size(n) for name, n in numbers.items()}))


def _print_stock(held: Stock) -> None:
    rows = [
        (
            each.name,
            f"{each.rows:,}",
            str(each.n_features),
            each.precision,
            each.backend,
            size(each.bytes),
            datetime.fromtimestamp(each.used, UTC).date().isoformat(),
        )
        for each in held.encoders
    ]
    if rows:
        heads = ("encoder", "rows", "features", "as", "by", "size", "last used")
        print_table("features of encoders", heads, rows, numbers=False)
    print(f"{size(held.bytes)} of at most {size(held.limit)}, in {held.place}")


def size(n: int) -> str:
    """A number of bytes as people write it."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n >= scale:
            return f"{n / scale:.1f} {unit}"
    return f"{n} bytes"
