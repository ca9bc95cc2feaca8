"""The parts of a BERT whose first weights may come from different places, and how a set of them is written.

The smallest parts: `embeddings.word`, `.position`, `.segment` and `.norm`; in each layer, counted from 0,
`encoder.0.q`, `.k`, `.v`, `.o`, `.ffn1`, `.ffn2`, `.norms`; `pooler`; `head`. A linear's bias belongs to it.
A selector names one or many of them:

    embeddings            all four                  encoder           every layer
    encoder.ffn1          one kind, every layer     encoder.3         one layer
    encoder.attention     q, k, v and o             encoder.0-3       layers 0, 1, 2 and 3
    encoder.ffn           ffn1 and ffn2             encoder.first-2   the two next to the embeddings
    encoder.0-3.ffn       both at once              encoder.last-2    the two next to the pooler

Where two selectors name a part, the narrower one wins: the one whose parts all lie within the other's.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from itertools import groupby

EMBEDDINGS = ("word", "position", "segment", "norm")
KINDS = ("q", "k", "v", "o", "ffn1", "ffn2", "norms")
GROUPS = {"attention": ("q", "k", "v", "o"), "ffn": ("ffn1", "ffn2")}
SINGLE = ("pooler", "head")
MAX_LAYERS = 512

_LAYERS = re.compile(r"(\d{1,3})(?:-(\d{1,3}))?|(first|last)-(\d{1,3})")
_TABLES = {
    "word_embeddings": "word",
    "position_embeddings": "position",
    "token_type_embeddings": "segment",
    "LayerNorm": "norm",
}
_MODULES = {
    "attention.self.query": "q",
    "attention.self.key": "k",
    "attention.self.value": "v",
    "attention.self.products": "q",  # quantizers of the products' inputs; never drawn nor copied
    "attention.output.dense": "o",
    "attention.output.LayerNorm": "norms",
    "intermediate.dense": "ffn1",
    "output.dense": "ffn2",
    "output.LayerNorm": "norms",
}


class SelectorError(ValueError):
    """A selector names no part; `known` are words that could have stood in the place of `word`."""

    def __init__(self, sentence: str, *, word: str = "", known: Iterable[str] = ()) -> None:
        super().__init__(sentence)
        self.word, self.known = word, tuple(known)


def every_part(num_layers: int) -> list[str]:
    """The smallest parts, in the order of the forward pass."""
    layers = [f"encoder.{layer}.{kind}" for layer in range(num_layers) for kind in KINDS]
    return [*(f"embeddings.{name}" for name in EMBEDDINGS), *layers, *SINGLE]


def part_of(name: str) -> str:
    """The smallest part that a tensor of a BERT belongs to, from its name."""
    if not name.startswith("bert."):
        return "head"
    section, rest = name.removeprefix("bert.").split(".", 1)
    if section == "encoder":
        _, layer, module = rest.split(".", 2)
        return f"encoder.{layer}.{next(kind for path, kind in _MODULES.items() if module.startswith(path))}"
    return f"embeddings.{_TABLES[rest.split('.')[0]]}" if section == "embeddings" else section


def select(selector: str, num_layers: int) -> list[str]:
    """The smallest parts that a selector names.

    Raises:
        SelectorError: it names none, or a layer that is not there.
    """
    section, *rest = selector.split(".")
    if section in SINGLE and not rest:
        return [section]
    if section == "embeddings" and len(rest) <= 1:
        if rest and rest[0] not in EMBEDDINGS:
            sentence = f"{selector}: the embeddings have no {rest[0]!r}"
            raise SelectorError(sentence, word=rest[0], known=EMBEDDINGS)
        return [f"embeddings.{name}" for name in rest or EMBEDDINGS]
    if section == "encoder":
        return _layer_parts(selector, rest, num_layers)
    known = ("embeddings", "encoder", *SINGLE)
    if section in known:
        raise SelectorError(f"{section} has no parts below {'.'.join([section, *rest[:-1]])}")
    raise SelectorError(f"no part {section!r}", word=section, known=known)


def lies_within(selector: str, other: str) -> bool:
    """Whether all parts that `selector` names are among those that `other` names, in a large model."""
    return set(select(selector, MAX_LAYERS)) <= set(select(other, MAX_LAYERS))


def choose(selectors: Collection[str], num_layers: int) -> dict[str, str | None]:
    """Which selector decides over each smallest part; None where none names it.

    Raises:
        SelectorError: a selector names no part.
        ValueError: two selectors name a part, and neither lies within the other.
    """
    named = {selector: frozenset(select(selector, num_layers)) for selector in selectors}
    return {part: _narrowest(part, named) for part in every_part(num_layers)}


def shortest(parts: Iterable[str], num_layers: int) -> list[str]:
    """Selectors that name exactly these smallest parts, few of them, in the order of the forward pass."""
    wanted = set(parts)
    tables = [f"embeddings.{name}" for name in EMBEDDINGS if f"embeddings.{name}" in wanted]
    found = ["embeddings"] if len(tables) == len(EMBEDDINGS) else tables
    start = 0
    for same, run in groupby(
        tuple(kind for kind in KINDS if f"encoder.{layer}.{kind}" in wanted) for layer in range(num_layers)
    ):
        end = start + len(list(run))
        numbers = f"{start}" if end == start + 1 else f"{start}-{end - 1}"
        place = "encoder" if end - start == num_layers else f"encoder.{numbers}"
        found += [".".join((place, *name)) for name in _kind_names(same)]
        start = end
    return [*found, *(part for part in SINGLE if part in wanted)]


def layers_in(parts: Iterable[str]) -> int:
    """How many layers a full list of smallest parts is about."""
    numbers = (re.match(r"encoder\.(\d+)\.", part) for part in parts)
    return 1 + max((int(number[1]) for number in numbers if number), default=-1)


def _layer_parts(selector: str, rest: list[str], num_layers: int) -> list[str]:
    kinds: tuple[str, ...] = KINDS
    remaining = list(rest)
    if remaining and (remaining[-1] in KINDS or remaining[-1] in GROUPS):
        kind = remaining.pop()
        kinds = GROUPS.get(kind, (kind,))
    layers = list(range(num_layers))
    if remaining and (match := _LAYERS.fullmatch(remaining[0])):
        layers = _layers(selector, match, num_layers)
        remaining.pop(0)
    if remaining:
        known = (*KINDS, *GROUPS, "0", "0-3", "first-2", "last-2")
        raise SelectorError(f"{selector}: a layer has no {remaining[0]!r}", word=remaining[0], known=known)
    return [f"encoder.{layer}.{kind}" for layer in layers for kind in kinds]


def _layers(selector: str, match: re.Match[str], num_layers: int) -> list[int]:
    first, last, side, count = match.groups()
    numbers = list(range(num_layers))
    if side is not None:
        if not 0 < int(count) <= num_layers:
            raise SelectorError(f"{selector}: {count} layers of {num_layers}")
        return numbers[: int(count)] if side == "first" else numbers[-int(count) :]
    end = int(first if last is None else last)
    if end >= num_layers:
        raise SelectorError(f"{selector}: no layer {end}; the model has {num_layers}, 0 to {num_layers - 1}")
    if end < int(first):
        raise SelectorError(f"{selector}: {first}-{last} runs backwards; write {last}-{first}")
    return numbers[int(first) : end + 1]


def _narrowest(part: str, named: Mapping[str, frozenset[str]]) -> str | None:
    candidates = [selector for selector, parts in named.items() if part in parts]
    if not candidates:
        return None
    best = min(candidates, key=lambda selector: len(named[selector]))
    for other in candidates:
        if other != best and not named[best] < named[other]:
            same = named[best] == named[other]
            how = "name the same parts" if same else f"both name {part}, and neither lies within the other"
            both = " and ".join(sorted((best, other), key=candidates.index))
            raise ValueError(f"{both} {how}")
    return best


def _kind_names(kinds: tuple[str, ...]) -> list[tuple[str, ...]]:
    """What to write after the layers: nothing for all kinds, else groups where they are whole."""
    if kinds == KINDS:
        return [()]
    whole = {kind: name for name, group in GROUPS.items() if {*group} <= {*kinds} for kind in group}
    return list(dict.fromkeys((whole.get(kind, kind),) for kind in kinds))
