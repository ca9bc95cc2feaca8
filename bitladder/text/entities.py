"""Tags of words in the IOB2 scheme, and the entities that a row of tags says.

`B-X` begins an entity of type X, `I-X` goes on with it, `O` is outside. Models put out what no person would
write, so `I-X` after anything but an X begins one too, as conlleval and seqeval have it
(Ramshaw and Marcus 1995, arXiv:cmp-lg/9505040; seqeval.metrics.sequence_labeling.get_entities).
"""

from collections.abc import Sequence
from typing import NamedTuple

OUTSIDE = "O"
BEGINS, INSIDE = "B-", "I-"


class Entity(NamedTuple):
    """The words from number `first` to `last`, that one included."""

    label: str
    first: int
    last: int


def entities(tags: Sequence[str]) -> list[Entity]:
    """The entities of one sentence, in order."""
    found: list[Entity] = []
    before = ""
    for number, tag in enumerate(tags):
        label = tag[len(BEGINS) :] if tag != OUTSIDE else ""
        if tag != OUTSIDE:
            if tag.startswith(INSIDE) and label == before:
                found[-1] = found[-1]._replace(last=number)
            else:
                found.append(Entity(label, number, number))
        before = label
    return found


def bad_tags(names: Sequence[str]) -> str | None:
    """What is wrong with the names of a task's tags, and what would be right; None for nothing."""
    own = [name for name in names if name != OUTSIDE]
    wrong = [name for name in own if name[: len(BEGINS)] not in (BEGINS, INSIDE) or len(name) == len(BEGINS)]
    if wrong:
        return f"{wrong[0]!r} is no tag; {OUTSIDE}, and B-X and I-X for each type X of entity, are right"
    if OUTSIDE not in names or not own:
        return f"tags are {OUTSIDE}, and B-X and I-X for each type X of entity; got {list(names)}"
    lonely = sorted(
        {name[2:] for name in own if name[0] == "I"} - {name[2:] for name in own if name[0] == "B"}
    )
    if lonely:
        return f"I-{lonely[0]} without B-{lonely[0]}; each type of entity needs both"
    return None
