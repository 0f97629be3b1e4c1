"""Differences between the data that a run was begun with and those that are there now."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

from quickstudy.inputs.column import Numeric
from quickstudy.inputs.rows import Columns
from quickstudy.tasks.contents import Contents, Held
from quickstudy.tasks.source import Split

PLURAL = {
    "class": "classes",
    "group": "groups",
    "table": "tables",
    "part": "parts",
    "series": "series",
    "scene": "scenes",
    "user": "users",
    "site": "sites",
    "assay": "assays",
}
SHOWN = 5


def names_of(contents: Contents | None) -> dict[str, Split]:
    """The split of each name; none where the contents are unknown or kept as digests."""
    splits = (contents.splits if contents else None) or {}
    return {name: split for split, names in splits.items() for name in names}


def differences(was: Contents, now: Contents, split: Split, grows: bool) -> Iterator[str]:
    """Differences of one split, each as the end of a sentence on it.

    Args:
        was: The contents of the run.
        now: Those of the data.
        split: The split.
        grows: Whether new names may be in it.
    """
    unit = PLURAL.get(str(was.unit), "classes")
    if was.splits is None or now.splits is None:
        one, two = (contents.digests.get(split, Held(0, "")) for contents in (was, now))
        if one != two:
            yield (
                f"had {one.n} {unit}, which the record does not name, and has {two.n}"
                + " with other names or examples" * (one.n == two.n)
            )
        return
    known, places = names_of(was), names_of(now)
    old, new = was.splits.get(split, {}), now.splits.get(split, {})
    others = renamed(was, now, split)
    missing = [name for name in old if name not in places and name not in others]
    lost = [f"{n} (now in meta-{places[n]})" for n in old if places.get(n, split) != split]
    gained = [f"{n} (of meta-{known[n]})" for n in new if known.get(n, split) != split]
    added = [name for name in new if name not in known]
    changed = {name: new[name] for name in old if name in new and new[name] != old[name]}
    if missing:
        yield f"lacks {some(missing)}"
    if others:
        yield f"calls {some(f'{name} {other} now' for name, other in others.items())}"
    if lost:
        yield f"lost {some(lost)}"
    if gained:
        yield f"has {some(gained)}"
    if added and not grows:
        yield f"has the new {some(added)}"
    if len(changed) == len(old) > 1 and all(new[name].n == old[name].n for name in old):
        yield f"has other values in all its {len(old)} {unit}, as in another unit"
    elif changed:
        sizes = (f"{name} ({each.n} examples, had {old[name].n})" for name, each in changed.items())
        yield f"has other examples in {some(sizes)}"


def renamed(was: Contents, now: Contents, split: Split) -> dict[str, str]:
    """The new name of what a split held under another one, known by its examples."""
    known, places = names_of(was), names_of(now)
    every = [now.left_out, *(now.splits or {}).values()]
    new = [(n, h) for part in every for n, h in part.items() if n not in known and h.sha256]
    return {
        name: same[0]
        for name, held in (was.splits or {}).get(split, {}).items()
        if name not in places and len(same := [n for n, each in new if each == held]) == 1
    }


def copies(was: Contents, added: Mapping[str, Held]) -> list[str]:
    """Sentences on new names whose very examples the run has under another name."""
    every = (was.splits or {}).items()
    by_digest = {held.sha256: (n, split) for split, names in every for n, held in names.items()}
    same = {name: by_digest[h.sha256] for name, h in added.items() if h.sha256 in by_digest}
    return [
        f"{name}, which is new, has the very examples of {other} in meta-{split}"
        for name, (other, split) in same.items()
    ]


def other_means(was: Columns, now: Columns) -> list[str]:
    """Sentences on columns of numbers whose mean over meta-train is another one."""
    means = [
        (name, one.mean, other.mean)
        for name, one in was.columns.items()
        if isinstance(one, Numeric) and isinstance(other := now.columns.get(name), Numeric)
    ]
    return [
        f"the column {name} has a mean of {new:.4g} in meta-train, and had {old:.4g}"
        for name, old, new in means
        if not math.isclose(old, new, rel_tol=1e-6, abs_tol=1e-12)
    ][:SHOWN]


def some(names: Iterable[str]) -> str:
    """The first of the names, and how many more there are."""
    every = list(names)
    more = f" and {len(every) - SHOWN} more" if len(every) > SHOWN else ""
    return ", ".join(every[:SHOWN]) + more
