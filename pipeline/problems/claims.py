"""Problems of `claims`: kinds that are not known, rungs that are not delivered, pairs that prove nothing."""

from collections.abc import Iterator, Mapping

from bitladder.quantizers.names import WEIGHTS
from pipeline.claim_kinds import KINDS, Facts
from pipeline.parts import lies_within
from pipeline.problems.ladder import TEACHER, places
from pipeline.problems.problem import Problem, did_you_mean, listed
from pipeline.problems.values import Values

_DRAWN = ("distribution", "std", "seed")
Place = tuple[str, str]
Entry = tuple[str | None, str | None, str | None]


def claim_problems(values: Values) -> Iterator[Problem]:
    """Every problem of every claim; what is missing or no text is left to the field's own problem."""
    rungs = places(values)
    entries = _entries(values)
    for number, (kind, better, worse) in enumerate(entries):
        where = f"claims[{number}]"
        if kind is not None and kind not in KINDS:
            yield Problem(
                f"{where}.claim", f"no claim {kind!r}; {did_you_mean(kind, KINDS)}known: {listed(KINDS)}"
            )
        found = [
            *_rung(values, f"{where}.better", better, rungs),
            *_rung(values, f"{where}.worse", worse, rungs),
        ]
        yield from found
        if (kind, better, worse) in entries[:number]:
            yield Problem(where, f"{kind} of {better} and {worse} is written twice; once is enough")
        elif better is not None and better == worse:
            yield Problem(f"{where}.worse", f"{worse} cannot beat itself; name another rung")
        elif kind in KINDS and better in rungs and worse in rungs:
            yield from _pair(values, where, kind, rungs[better], rungs[worse])


def _entries(values: Values) -> list[Entry]:
    written = values.raw("claims")
    found = [entry for entry in written if isinstance(entry, Mapping)] if isinstance(written, list) else []
    texts = [[entry.get(key) for key in ("claim", "better", "worse")] for entry in found]
    cells = [[text if isinstance(text, str) else None for text in row] for row in texts]
    return [(kind, better, worse) for kind, better, worse in cells]


def _rung(values: Values, field: str, name: str | None, rungs: Mapping[str, Place]) -> Iterator[Problem]:
    delivered = values.texts("deliver")
    if name is None or name in delivered:
        return
    if name in rungs:
        yield Problem(field, f"{name} is not delivered, so it gets no score; add it to deliver")
    else:
        yield Problem(
            field, f"no rung {name!r}; {did_you_mean(name, delivered)}delivered: {listed(delivered)}"
        )


def _pair(values: Values, where: str, kind: str, better: Place, worse: Place) -> Iterator[Problem]:
    first, second = _facts(values, better), _facts(values, worse)
    if first.bits != second.bits:
        yield Problem(
            where,
            f"{kind} is about two rungs of equal bits (of weights, embeddings, activations); {better[1]} has "
            f"{_said(first)}, {worse[1]} {_said(second)}",
        )
    elif not KINDS[kind].fits(first, second):
        yield Problem(
            where, f"{kind} needs {KINDS[kind].needs}; {better[1]} and {worse[1]} are not such a pair"
        )


def _facts(values: Values, place: Place) -> Facts:
    way = _way(values, place)
    weights = values.whole(*place, "bits")
    return Facts(
        bits=(weights, values.whole(*place, "embedding_bits") or weights, _activations(values, place)),
        data=tuple(values.text(*rung, "data") for rung in way),
        activation_bits=tuple(_activations(values, rung) for rung in way),
        drawn=tuple(selector for rung in way for selector in _drawn(values, rung)),
        kept=tuple(selector for rung in way for selector in _kept(values, rung)),
        weight_quantizer=_weight_quantizer(values, place),
        width=1.0 if (width := values.number(*place, "width")) is None else width,
        split=values.raw(*place, "split") is True,
        taught_by_teacher=(taught_by := values.text(*place, "taught_by")) == TEACHER,
        taught_by_parent=taught_by != TEACHER and taught_by == values.text(*place, "init_from"),
        has_phases=bool(values.raw(*place, "phases")),
        has_own_losses=bool(values.raw(*place, "phases")) or values.written(*place, "distillation"),
    )


def _way(values: Values, place: Place) -> list[Place]:
    """The rung and its ancestors below the teacher, as far as they can be read."""
    rungs = places(values)
    way = [place]
    while (parent := rungs.get(values.text(*way[-1], "init_from") or "")) and parent not in way:
        way.append(parent)
    return way


def _activations(values: Values, place: Place) -> int | None:
    return values.whole(*place, "activation_bits") if place[0] == "weights_activations" else 32


def _weight_quantizer(values: Values, place: Place) -> str | None:
    named, bits = values.text(*place, "weight_quantizer"), values.whole(*place, "bits")
    return named or next((name for name, one in WEIGHTS.items() if bits in one.default), None)


def _kept(values: Values, place: Place) -> list[str]:
    drawn = _drawn(values, place)
    return [
        selector
        for selector in values.names(*place, "init")
        if selector not in drawn and any(lies_within(selector, wider) for wider in drawn)
    ]


def _drawn(values: Values, place: Place) -> list[str]:
    origins = {selector: values.raw(*place, "init", selector) for selector in values.names(*place, "init")}
    return [
        selector
        for selector, origin in origins.items()
        if origin == "random"
        or (isinstance(origin, Mapping) and any(origin.get(key) is not None for key in _DRAWN))
    ]


def _said(rung: Facts) -> str:
    return "-".join("?" if bits is None else str(bits) for bits in rung.bits)
