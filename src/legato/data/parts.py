"""The part of a source that a folder, a file or an array is, told by its name: training, validation or test.

Covered: `train/`, `Testing/`, `seg_train/`, `test_set/`; `train-00000-of-00002.parquet`, `mitbih_test.csv`; `x_val`,
`train_images`.
Not covered: which rows of a source without such names train (`splits`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from legato.data.splits import NAMES, TEST, TRAIN, VALIDATION

WORDS = {
    **dict.fromkeys(("train", "training"), TRAIN),
    **dict.fromkeys(("val", "valid", "validation", "dev"), VALIDATION),
    **dict.fromkeys(("test", "testing"), TEST),
}
FOLDER = re.compile(
    rf"(?:(?:seg|images?|imgs|data|dataset)[-_ ]?)?({'|'.join(sorted(WORDS, key=len, reverse=True))})"
    r"(?:[-_ ]?(?:set|images?|imgs|data|split))?"
)
# as parts were always told: sources that are told so keep their fingerprint
PLAIN = {word: code for word, code in WORDS.items() if word != "dev"}
ROWS = ("x_{}", "{}_x", "{}_images", "images_{}", "{}_data", "data_{}", "{}_features")
LABELS = ("y_{}", "{}_y", "{}_labels", "labels_{}", "{}_label", "label_{}", "{}_targets")


def of_folder(name: str) -> int | None:
    """The index into `splits.NAMES` that a folder's name says, or None."""
    match = FOLDER.fullmatch(name.lower())
    return WORDS[match[1]] if match else None


def of_file(stem: str) -> int | None:
    """The same of a file: one word among those of its name. `train-test-split` says nothing."""
    said = {WORDS[word] for word in re.split(r"[^a-z]+", stem.lower()) if word in WORDS}
    return said.pop() if len(said) == 1 else None


@dataclass(frozen=True)
class ArrayPart:
    """The arrays of one part: `rows` and `labels` are their keys, `code` indexes `splits.NAMES`."""

    code: int
    rows: str
    labels: str | None

    @property
    def name(self) -> str:
        """The part's name, which stands before the row number in an id."""
        return NAMES[self.code]


def of_arrays(keys: Iterable[str]) -> list[ArrayPart]:
    """The parts that arrays are named for: Keras's x_train, MedMNIST's train_images; the bare `train` only beside its like."""
    known = {key.lower(): key for key in sorted(keys)}  # sorted: of `X_train` and `x_train` the last wins, `x_train`
    found = []
    for code in (TRAIN, VALIDATION, TEST):
        words = [word for word in WORDS if WORDS[word] == code]
        rows = _first(known, ROWS, words) or _first(known, ("{}",), words)
        if rows is not None:
            found.append(ArrayPart(code, rows, _first(known, LABELS, words)))
    return found


def _first(known: dict[str, str], forms: Sequence[str], words: Sequence[str]) -> str | None:
    names = (form.format(word) for form in forms for word in words)
    return next((known[name] for name in names if name in known), None)


@dataclass(frozen=True)
class Arrangement:
    """The arrangement of the pictures below a folder: `names` are those to use, `level` folders stand above the class.

    `own` are codes of `splits.NAMES`, one for each name, or None; `left` counts pictures left out, by folder. `usual` is
    whether it was told by plain names of parts alone, as it always was: told otherwise, it has a fingerprint of its own.
    """

    names: list[str]
    level: int = 0
    own: list[int] | None = None
    left: Counter[str] | None = None
    usual: bool = True


def arrange(names: list[str]) -> Arrangement:
    """Parts are there where one folder is for training and another one for validation or test; what lies beside is left out.

    MVTec's `ground_truth` holds masks, others have `unlabeled` or a contact sheet: none of them is to be trained on.
    """
    above = _wrappers(names)
    known: dict[str, str] = {}  # one text for each folder, not for each picture
    firsts = [known.setdefault(first, first) for first in (_folder(name, above) for name in names)]
    codes = {first: of_folder(first) for first in set(firsts) if first}
    parts = set(codes.values()) - {None}
    if TRAIN not in parts or len(parts) < 2:
        alone = (
            above > 0
            and len({_folder(name, above - 1) for name in names}) == 1
            and all(of_folder(name.split("/")[above - 1]) is not None for name in names[:1])
        )
        return Arrangement(names, above, usual=False) if alone else Arrangement(names)
    own = [codes.get(first) for first in firsts]
    left = Counter(first or "the folder itself" for first, code in zip(firsts, own, strict=True) if code is None)
    kept = [name for name, code in zip(names, own, strict=True) if code is not None]
    usual = not left and not above and all(first.lower() in PLAIN for first in codes)
    return Arrangement(kept, above + 1, [code for code in own if code is not None], left, usual)


def _folder(name: str, level: int) -> str:
    parts = name.split("/")
    return parts[level] if len(parts) > level + 1 else ""


def _wrappers(names: Sequence[str]) -> int:
    """The number of folders that all pictures share."""
    first, last = names[0].split("/")[:-1], names[-1].split("/")[:-1]  # sorted, so what these share all share
    level = 0
    while level < min(len(first), len(last)) and first[level] == last[level]:
        level += 1
    return level
