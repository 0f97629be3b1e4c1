"""The names of the items of a catalogue: ids, and titles as people write them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from functools import cached_property
from typing import Final

from quickstudy.inputs.rating_files import spelling

ARTICLES: Final = "the|a|an|der|die|das|le|la|les|l'|il|lo|gli|el|los|las|het"
LAST = re.compile(rf", (?:{ARTICLES})(?=$| \()")
FIRST = re.compile(rf"^(?:(?:{ARTICLES}) |l')(?=.)")
YEAR = re.compile(r"\s*\(\d{4}(?:[-–]\d{0,4})?\)$")
CUTOFF: Final = 0.75
MOST: Final = 3
"""Items that are suggested at most."""


class Names:
    """Finds items by their names: by id, also in other spellings, and by title.

    A title is known without regard to case; where no item has it so, also without accents, article
    and the year at its end.

    Args:
        ids, titles: Of each item.

    Example:
        >>> names = Names(("7", "9"), ("Usual Suspects, The (1995)", "187 (1997)"))
        >>> names.places("the usual suspects"), names.places("07"), names.places("187")
        ((0,), (0,), (1,))
    """

    def __init__(self, ids: Sequence[str], titles: Sequence[str]) -> None:
        self.ids, self.titles = ids, titles
        self._exact = {name: (place,) for place, name in enumerate(ids)}
        self._spelled = _by(map(spelling, ids))
        self._titles = [
            _by(map(form, titles)) for form in (plain, loose, lambda title: loose(undated(title)))
        ]

    def places(self, name: str, titled: bool = False) -> tuple[int, ...]:
        """The places of the items of a name: one, none, or several that share it.

        Args:
            name: An id or a title.
            titled: Whether it is a title rather than an id, where it could be either.
        """
        by_id = self._exact.get(name) or self._spelled.get(spelling(name))
        forms = zip(self._titles, (plain(name), loose(name), loose(name)), strict=True)
        by_title = next((known[key] for known, key in forms if key in known), None)
        first, second = (by_title, by_id) if titled else (by_id, by_title)
        return first or second or ()

    def holding(self, words: Sequence[str]) -> list[int]:
        """The places of the items whose titles hold all of these words, folded."""
        pairs = enumerate(self.folded)
        return [place for place, title in pairs if all(word in title for word in words)]

    def near(self, name: str) -> list[int]:
        """The places of the items whose title or id is spelled most like a name."""
        for known in self._titles[1:]:
            near = get_close_matches(loose(name), known, n=1, cutoff=CUTOFF)
            if near:
                return [*known[near[0]]]
        spelled = get_close_matches(spelling(name), self._spelled, n=1, cutoff=CUTOFF)
        if spelled:
            return [*self._spelled[spelled[0]]]
        # The likest words of titles, with the same first letter.
        words = sorted({word for title in self.folded for word in title.split()})
        likest = [
            (get_close_matches(word, [w for w in words if w[0] == word[0]], n=1) or [word])[0]
            for word in fold(name).split()
        ]
        return self.holding(likest)[:MOST] if likest else []

    @cached_property
    def folded(self) -> list[str]:
        """The titles as they are searched."""
        return [fold(title) for title in self.titles]


def fold(text: str) -> str:
    """A title as it is searched: without case, accents and punctuation."""
    letters = unicodedata.normalize("NFKD", text.casefold())
    kept = [c if c.isalnum() else " " for c in letters if not unicodedata.combining(c)]
    return " ".join("".join(kept).split())


def plain(title: str) -> str:
    """A title without case and needless spaces."""
    return " ".join(unicodedata.normalize("NFKC", title).casefold().split())


def loose(title: str) -> str:
    """A title without case, accents, and its article before or behind: `Heat, The` is `heat`."""
    letters = unicodedata.normalize("NFKD", plain(title))
    text = "".join(each for each in letters if not unicodedata.combining(each))
    return LAST.sub("", text) if LAST.search(text) else FIRST.sub("", text)


def undated(title: str) -> str:
    """A title without the year at its end."""
    return YEAR.sub("", title)


def _by(keys: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """The places of each key."""
    places: dict[str, tuple[int, ...]] = {}
    for place, key in enumerate(keys):
        places[key] = (*places.get(key, ()), place)
    return places
