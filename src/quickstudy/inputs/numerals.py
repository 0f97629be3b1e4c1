"""Numbers as people write them: decimal commas, thousands, currencies, per cent, minus signs."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from quickstudy.errors import UserError

SIGNS: Final = str.maketrans(
    {**dict.fromkeys("\u2212\u2013\ufe63\uff0d", "-"), "\uff0b": "+", "\u2019": "'"}
    | dict.fromkeys("\u00a0\u2007\u2009\u202f", " ")
)
CURRENCIES: Final = "EUR|USD|GBP|CHF|JPY|CNY|INR|CAD|AUD|SEK|NOK|DKK|PLN|CZK|kr|zł"
UNIT: Final = rf"%|[A-Z]{{0,2}}[$\u00a2-\u00a5\u20a0-\u20cf]|{CURRENCIES}"
WRITTEN = re.compile(
    rf"(?P<sign>[-+]?)\s*(?P<before>{UNIT})?\s*(?P<second>[-+]?)\s*"
    rf"(?P<body>[\d.,](?:[\d.,' ]*[\d.,])?(?:[eE][-+]?\d+)?)\s*(?P<after>{UNIT})?"
)
DOTTED = re.compile(r"[1-9]\d{0,2}(?:\.\d{3})+")


class Written(NamedTuple):
    """A text in the parts of a number: its sign, its digits with separators, its unit."""

    sign: str
    body: str
    unit: str


class Numerals(NamedTuple):
    """How the numbers of a column are written.

    Attributes:
        decimal: `"."` or `","`.
        thousands: `","` where commas part thousands. Dots do where the decimal sign is a comma, and
            spaces and apostrophes always.
        unit: Currency or `"%"`, which a number may lack.
    """

    decimal: str = "."
    thousands: str = ""
    unit: str = ""

    def number(self, text: str) -> float | None:
        """The number that a text is; None where it is none, or written otherwise."""
        if self.decimal == "." and (plain := _plain(text)) is not None:
            return plain
        written = parts(text)
        if written is None or written.unit not in ("", self.unit):
            return None
        groups = "." if self.decimal == "," else self.thousands
        if not any(
            _form(self.decimal, by).fullmatch(written.body) for by in {"", " ", "'", groups}
        ):
            return None
        digits = written.body.translate({ord(sign): None for sign in f" '{groups}"})
        value = float(f"{written.sign}{digits.replace(self.decimal, '.')}")
        return value if math.isfinite(value) else None

    def describe(self) -> str:
        """How the numbers are written, in words; nothing where they are plain."""
        words = ["decimal comma"] if self.decimal == "," else []
        words += ["thousands parted by commas"] if self.thousands else []
        return ", ".join([*words, *([f"in {self.unit}"] if self.unit else [])])


PLAIN: Final = Numerals()
BY_HAND: Final = {"numbers": Numerals(thousands=","), "comma": Numerals(",")}
"""How numbers are read where the user says what a column holds."""


def parts(text: str) -> Written | None:
    """The parts of a text that some people write for a number; None where nobody does."""
    match = WRITTEN.fullmatch(text.translate(SIGNS).strip())
    if match is None or (match["before"] and match["after"]) or (match["sign"] and match["second"]):
        return None
    body = match["body"]
    if not any(_form(*form).fullmatch(body) for form in FORMS):
        return None
    return Written(match["sign"] + match["second"], body, match["before"] or match["after"] or "")


def looks_like_number(text: str) -> bool:
    """Whether a text is a number as programs or some people write it."""
    return _plain(text) is not None or parts(text) is not None


def numerals_of(texts: Iterable[str], where: str) -> Numerals | None:
    """How the numbers of a column are written; None where a text is no number.

    Texts that `float` takes are read as it reads them, unless that contradicts itself.

    Args:
        texts: The different texts of the column, without those that say that a value is missing.
        where: The column, for the message.

    Raises:
        UserError: They are all numbers, but written in several ways, or in one that may mean two
            values: `1,500`.
    """
    texts = sorted(texts)
    if all(_plain(text) is not None for text in texts):
        thousands = _dots_part_thousands(texts)
        if thousands is not None:
            raise _ambiguous(where, *thousands)
        return PLAIN
    written = [(text, part) for text in texts if (part := parts(text)) is not None]
    if len(written) < len(texts):
        return None
    by_unit = {part.unit: text for text, part in written}
    if len(by_unit) > 1:
        raise _mixed(where, sorted(by_unit.values())[:3])
    unit = written[0][1].unit
    forms = [
        form for form in FORMS if all(_form(*form).fullmatch(part.body) for _, part in written)
    ]
    if not forms:
        raise _mixed(where, _that_disagree(written))
    by_decimal = {decimal: Numerals(decimal, _comma(by), unit) for decimal, by in reversed(forms)}
    for text in texts:
        values = {style.number(text) for style in by_decimal.values()}
        if len(values) > 1 and (unit not in ("", "%") or (".", "") not in forms):
            raise _ambiguous(where, text, *sorted(f"{value:g}" for value in values if value))
    return by_decimal.get(".") or by_decimal[","]


FORMS: Final = tuple(
    (decimal, by) for by in ("", ",", ".", " ", "'") for decimal in ".," if decimal != by
)
_forms: dict[tuple[str, str], re.Pattern[str]] = {}


def _form(decimal: str, by: str) -> re.Pattern[str]:
    """The form of the digits of a number with a decimal sign and a sign that parts groups."""
    if (decimal, by) not in _forms:
        point, group = re.escape(decimal), re.escape(by)
        whole = r"\d+"
        if by:  # In India only the last group has three digits.
            whole += (
                rf"|[1-9]\d{{0,2}}(?:{group}\d{{3}})+|[1-9]\d?(?:{group}\d{{2}})*{group}\d{{3}}"
            )
        digits = rf"(?:(?:{whole})(?:{point}\d*)?|{point}\d+)"
        _forms[decimal, by] = re.compile(rf"{digits}(?:[eE][-+]?\d+)?")
    return _forms[decimal, by]


def _plain(text: str) -> float | None:
    """The finite number that `float` takes a text for; `1_2` is a name."""
    try:
        value = math.nan if "_" in text else float(text.translate(SIGNS))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _comma(by: str) -> str:
    return "," if by == "," else ""


def _dots_part_thousands(texts: list[str]) -> tuple[str, str, str] | None:
    """A text and its two values, where no program writes such decimals: 900 beside 1.500."""
    dotted = [text.lstrip("-+") for text in texts if "." in text]
    odd = next((text for text in dotted if text.endswith("0")), None)
    if odd is None or len(dotted) == len(texts) or not all(map(DOTTED.fullmatch, dotted)):
        return None
    return odd, f"{float(odd):g}", odd.replace(".", "")


def _that_disagree(written: list[tuple[str, Written]]) -> list[str]:
    """Two texts that no one way of writing takes both, where there are such."""
    text, first = written[0]
    for other, part in written[1:]:
        if not any(
            _form(*form).fullmatch(first.body) and _form(*form).fullmatch(part.body)
            for form in FORMS
        ):
            return [text, other]
    return [text for text, _ in written[:3]]


def _mixed(where: str, sample: list[str]) -> UserError:
    return UserError(
        f"{where} holds numbers that are written in several ways; received "
        f"{', '.join(map(repr, sample))}; write all alike, or say what the column holds "
        "(columns: numbers, comma or names)."
    )


def _ambiguous(where: str, text: str, *values: str) -> UserError:
    return UserError(
        f"{where} holds numbers that may mean two values; received {text!r}, which is "
        f"{' or '.join(values)}; write them without thousands, with a decimal point, or say what "
        "the column holds (columns: numbers for a decimal point, comma for a decimal comma, or "
        "names)."
    )
