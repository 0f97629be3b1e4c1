"""Reads folders of pictures by site: which pictures there are, and what no two splits may share."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from quickstudy.domains.sites.looks import remarks
from quickstudy.domains.sites.site_tasks import SiteTasks
from quickstudy.encoders import Backend
from quickstudy.errors import DataError, UserError
from quickstudy.files.stored_rows import StoredRows, rows_of
from quickstudy.inputs import InputKind
from quickstudy.inputs.constancy import Constancy
from quickstudy.inputs.files import folders, labelled_files, opened, some
from quickstudy.inputs.images import Pictures
from quickstudy.tasks.arrays import split_names
from quickstudy.tasks.contents import Marks, held_by_name, marks_of
from quickstudy.tasks.features import featured_where_readable, pictures_kind
from quickstudy.tasks.recorded import Recorded, dealt
from quickstudy.tasks.source import SPLITS, Split

Array = NDArray[Any]
LEAST = 2
"""Pictures of a class that a site must have: one to learn from, and one to ask about."""


class Listed(NamedTuple):
    """The files of a folder of sites, in order.

    Attributes:
        files: Each file.
        sites: Name of the site of each.
        labels: Name of the class of each.
    """

    files: list[Path]
    sites: list[str]
    labels: list[str]

    def chosen(self, places: Sequence[int]) -> Listed:
        """Those in these places."""
        return Listed(
            [self.files[place] for place in places],
            [self.sites[place] for place in places],
            [self.labels[place] for place in places],
        )


def sites(
    path: Path,
    size: int = 28,
    mode: Literal["L", "RGB"] = "RGB",
    ink: bool = False,
    constancy: Constancy | None = None,
    valid: float = 0.2,
    test: float = 0.2,
    valid_sites: tuple[str, ...] = (),
    test_sites: tuple[str, ...] = (),
    unit: str | None = None,
    common: bool = False,
    n_shot: int = 5,
    n_query: int = 100,
    most: int = 20,
    shots: tuple[int, ...] = (),
    seed: int = 0,
    bits: int | None = None,
    skip_bad: bool = False,
    encoder: str | None = None,
    backend: Backend | None = None,
    recorded: Recorded | None = None,
) -> SiteTasks:
    """Tasks from `site/class/picture`: each site is one task, and all have the same classes.

    The sites are dealt out to the splits, whole. A picture that is in two sites is refused; of one
    that a site has twice, one is taken.

    Args:
        path: The folder, or a zip file of it.
        size: Side of the square inputs, in pixels.
        mode: `"RGB"` for colour, `"L"` for grey.
        ink: The pictures are drawings, with mode `"L"`; see `Pictures`.
        constancy: Colour constancy of the pictures; see `Pictures`.
        valid: Part of the sites that are meta-valid, where none are named; 0 for none.
        test: Part of the sites that are meta-test, where none are named.
        valid_sites: Names of the sites that are meta-valid.
        test_sites: Names of the sites that are meta-test.
        unit: Regular expression that finds the patient or slide in the name of a file, by its first
            group or as a whole, such as `"^[^_]+"`: none is learned from and asked about at once,
            and one in two sites is refused.
        common: Whether classes that some site lacks are left out, and named in the notes, rather
            than refused.
        n_shot: Pictures of a class that are learned from, at most.
        n_query: Pictures that are asked about, at the rate of the site, at most.
        most: Pictures of a class from which those that are learned from are taken.
        shots: Numbers of pictures of a class that meta-train tasks learn from; `n_shot` where
            empty.
        seed: Seed of the split and of the tasks.
        bits: Depth of whole numbers in files of 16 bits; see `Pictures`.
        skip_bad: Files that cannot be read are left out, and named in the notes, rather than
            refused.
        encoder: The frozen encoder whose features the pictures become, such as `"photos"`; it
            decides their size and colours.
        backend: What computes these features; torch where nothing else was chosen.
        recorded: The data of a run, whose split is used again.

    Raises:
        DataError: There is no such folder or zip file.
        UserError: It is laid out otherwise, has one site, sites with other classes, files that are
            no pictures, or a picture or unit in two sites.
    """
    path = Path(path)
    kind = _kind(size, mode, ink, constancy, bits, encoder, backend)
    listed = _listed(path)
    notes: list[str] = []
    listed, classes = _alike(listed, common, notes)
    (x, marks), bad = _examples(kind, listed.files, skip_bad)
    if bad:
        read = [place for place in range(len(listed.files)) if place not in bad]
        out = some([shown(listed.files[place]) for place in bad])
        notes.append(f"{len(bad)} file(s) that cannot be read are left out: {out}")
        listed = listed.chosen(read)
    once = _once(listed, marks, notes)
    listed, x, marks = listed.chosen(once), rows_of(x, np.array(once)), marks[once]
    _check_enough(listed, classes)
    units = _units(listed, unit)
    notes += remarks(listed.files, listed.sites, kind)
    present = held_by_name(listed.sites, _with_labels(marks, listed.labels))
    names = [*present]

    def usual() -> dict[Split, list[str]]:
        return _split(names, valid, test, valid_sites, test_sites, seed, path.name)

    splits, left_out = dealt(present, recorded, usual)
    site, y = ({name: i for i, name in enumerate(each)} for each in (names, classes))
    return SiteTasks(
        name=path.name,
        x=x,
        y=np.array([y[label] for label in listed.labels]),
        site=np.array([site[name] for name in listed.sites]),
        unit=units,
        sites=names,
        classes=tuple(classes),
        preprocess=kind,
        marks=_with_labels(marks, listed.labels),
        units={split: [site[name] for name in of] for split, of in splits.items()},
        n_shot=n_shot,
        n_query=n_query,
        most=most,
        shots=tuple(shots),
        seed=seed,
        about={"notes": notes} if notes else {},
        left_out=left_out,
    )


def shown(file: Path) -> str:
    """The site, class and name of a file."""
    return "/".join(Path(str(file)).parts[-3:])


def _kind(
    size: int,
    mode: Literal["L", "RGB"],
    ink: bool,
    constancy: Constancy | None,
    bits: int | None,
    encoder: str | None,
    backend: Backend | None,
) -> InputKind:
    if encoder is None:
        return Pictures(size, mode, ink, bits=bits, constancy=constancy)
    if (size, mode, ink, bits) != (28, "RGB", False, None):
        raise UserError(
            f"sites: the encoder {encoder} decides how pictures become inputs; received "
            f"size={size}, mode={mode!r}, ink={ink}, bits={bits}; leave these out."
        )
    return pictures_kind(encoder, backend, constancy)


def _listed(path: Path) -> Listed:
    """The files of all sites, by site and class."""
    root = opened(path)
    if not root.is_dir():
        raise DataError(
            f"sites: {path} must be a folder of sites, or a zip file of one; received "
            f"{'another file' if path.exists() else 'no such place'}; check the path."
        )
    inside = folders(root)
    while len(inside) == 1 and any(folders(each) for each in folders(inside[0])):
        inside = folders(inside[0])  # A zip file often holds the folder itself.
    listed = Listed([], [], [])
    for each in inside:
        if not folders(each):
            raise UserError(
                f"sites: {path} must hold site/class/picture; received the folder {each.name} "
                "without class folders; put a folder of the site above the class folders, or for "
                "pictures by class alone take --tasks folder."
            )
        files, labels = labelled_files(each)
        listed.files.extend(files)
        listed.labels.extend(labels)
        listed.sites.extend([unicodedata.normalize("NFC", each.name)] * len(files))
    if len(inside) < 2:
        raise UserError(
            f"sites: {path} must hold two sites or more, some to train on and others to test on; "
            f"received {len(inside)}{''.join(f', {each.name}' for each in inside)}; add sites, or "
            "learn from this one: quickstudy adapt RUN --support SITE, or --encoder photos without "
            "a run."
        )
    return listed


def _alike(listed: Listed, common: bool, notes: list[str]) -> tuple[Listed, list[str]]:
    """The files of the classes that all sites have, and these classes, by name."""
    of_site: dict[str, Counter[str]] = {}
    for name, label in zip(listed.sites, listed.labels, strict=True):
        of_site.setdefault(name, Counter())[label] += 1
    every = sorted({label for counts in of_site.values() for label in counts})
    lacking = {
        label: [name for name, counts in of_site.items() if counts[label] < LEAST]
        for label in every
    }
    lacking = {label: names for label, names in lacking.items() if names}
    if not lacking:
        classes = every
    elif not common:
        parts = [
            f"{label} ({', '.join(f'{of_site[name][label]} in {name}' for name in names[:5])})"
            for label, names in lacking.items()
        ]
        raise UserError(
            f"sites: every site must have the same classes, with {LEAST} pictures of each at "
            f"least; received fewer of {some(parts)}; add pictures, correct the names of class "
            "folders, or leave these classes out of all sites by common (--tasks.common true)."
        )
    else:
        classes = [label for label in every if label not in lacking]
        notes.append(f"classes that a site lacks are left out: {some([*lacking])}")
    if len(classes) < 2:
        raise UserError(
            f"sites: all sites must have two classes or more in common; received {len(classes)} of "
            f"{some(every)}; give the class folders of all sites the same names."
        )
    places = [place for place, label in enumerate(listed.labels) if label not in lacking]
    return listed.chosen(places), classes


def _examples(
    kind: InputKind, files: list[Path], skip_bad: bool
) -> tuple[tuple[Array | StoredRows, Marks], dict[int, str]]:
    """Inputs with their marks, and why files were left out, by their place."""
    if isinstance(kind, Pictures):
        # By their pixels, so that one picture in two files is the same.
        x, bad = kind.stack(files, skip_bad)
        return (x, marks_of(each.tobytes() for each in x)), bad
    return featured_where_readable(kind, files, skip_bad)  # type: ignore[arg-type]


def _once(listed: Listed, marks: Marks, notes: list[str]) -> list[int]:
    """The places of pictures that are there once; refuses one with two sites or classes."""
    first: dict[int, int] = {}
    across: list[str] = []
    for place, mark in enumerate(marks.tolist()):
        other = first.setdefault(mark, place)
        if (listed.sites[other], listed.labels[other]) != (
            listed.sites[place],
            listed.labels[place],
        ):
            across.append(f"{shown(listed.files[other])} and {shown(listed.files[place])}")
    if across:
        raise UserError(
            "sites: a picture must be in one site and of one class, else what is tested on was "
            f"trained on; received {len(across)} more than once: {some(across)}; keep one of each."
        )
    if repeated := len(marks) - len(first):
        notes.append(f"{repeated} picture(s) that a site has twice are taken once")
    return sorted(first.values())


def _check_enough(listed: Listed, classes: Sequence[str]) -> None:
    """Refuses a class of which a site has too few pictures without copies and bad files."""
    counts = Counter(zip(listed.sites, listed.labels, strict=True))
    every = [(name, label) for name in dict.fromkeys(listed.sites) for label in classes]
    few = [f"{label} of {name} ({counts[name, label]})" for name, label in every
           if counts[name, label] < LEAST]  # fmt: skip
    if few:
        raise UserError(
            f"sites: every site needs {LEAST} readable, different pictures of each class; received "
            f"fewer of {some(few)}; add pictures, or leave the class out of all sites."
        )


def _units(listed: Listed, pattern: str | None) -> NDArray[np.int64]:
    """The number of the unit of each picture; refuses one in two sites."""
    if pattern is None:
        return np.arange(len(listed.files))
    try:
        find = re.compile(pattern)
    except re.error as error:
        raise UserError(
            f"sites: unit must be a regular expression; received {pattern!r} ({error}); correct it."
        ) from error
    names: list[str] = []
    site_of: dict[str, str] = {}
    for file, site in zip(listed.files, listed.sites, strict=True):
        match = find.search(file.name)
        if match is None:
            raise UserError(
                f"sites: unit must be found in the name of every file; received {pattern!r}, which "
                f"does not fit {shown(file)}; correct it, or rename the file."
            )
        name = match.group(1) if find.groups else match.group()
        if site_of.setdefault(name, site) != site:
            raise UserError(
                f"sites: a unit must be in one site, else what is tested on was trained on; "
                f"received {name!r} in {site_of[name]} and {site}; keep it in one."
            )
        names.append(name)
    number = {name: i for i, name in enumerate(site_of)}
    return np.array([number[name] for name in names])


def _with_labels(marks: Marks, labels: Sequence[str]) -> Marks:
    """Marks of pictures with their classes, so that another class is a change of the data."""
    pairs = zip(marks.tolist(), labels, strict=True)
    return marks_of(f"{mark}\x1f{label}".encode() for mark, label in pairs)


def _split(
    names: Sequence[str],
    valid: float,
    test: float,
    valid_sites: Sequence[str],
    test_sites: Sequence[str],
    seed: int,
    name: str,
) -> dict[Split, list[str]]:
    """The sites of each split: those that are named, and of the others a part."""
    named: Mapping[Split, Sequence[str]] = {"valid": valid_sites, "test": test_sites}
    asked = [each for part in named.values() for each in part]
    unknown = [each for each in asked if each not in names]
    twice = sorted({each for each in asked if asked.count(each) > 1})
    if unknown or twice:
        raise UserError(
            "sites: valid_sites and test_sites must name sites, each once; received "
            f"{some(unknown or twice)}{'' if unknown else ' twice'}; there are {some(names)}."
        )
    others = [each for each in names if each not in asked]
    parts = (0.0 if valid_sites else valid, 0.0 if test_sites else test)
    if not others:
        raise UserError(
            f"sites: some sites of {name} must be left to train on; received all {len(names)} in "
            "valid_sites and test_sites; name fewer."
        )
    splits = split_names(others, *parts, seed, f"{name}: sites", least=1)
    splits |= {split: list(part) for split, part in named.items() if part}
    return {split: splits[split] for split in SPLITS if split in splits}
