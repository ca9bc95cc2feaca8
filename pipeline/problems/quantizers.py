"""Problems of `weight_quantizer`, `granularity` and `group_size`: names that do not fit, groups that leave
a rest.

Groups fill the rows of every matrix, or the rung is refused: a shorter last group would have levels of its
own. Sizes are looked at where params.yaml itself tells them; for a model from elsewhere that is done when
its files are there (`pipeline.ladder.layers`)."""

from collections.abc import Iterable, Iterator

from bitladder.quantizers.names import WEIGHTS, serving, usual
from pipeline.problems.ladder import SECTIONS
from pipeline.problems.problem import Problem, did_you_mean, listed
from pipeline.problems.values import Values

Place = tuple[str, str]
SIZES = ("hidden_size", "intermediate_size")


def quantizer_problems(values: Values) -> Iterator[Problem]:
    """Every problem of how a rung's weights are quantized; what is no text or number is left out."""
    for section in SECTIONS:
        for name in values.names(section):
            yield from _name(values, (section, name))
            yield from _groups(values, (section, name))
            yield from _split(values, (section, name))


def group_problems(field: str, group_size: int, sizes: Iterable[tuple[str, float]]) -> Iterator[Problem]:
    """Sizes, by name, that rows have and that groups of this size do not fill."""
    for name, size in sizes:
        if group_size > 0 and size % group_size:
            yield Problem(
                field, f"{group_size} does not divide the model's {name}, {size:g}; whole groups are needed"
            )


def _name(values: Values, place: Place) -> Iterator[Problem]:
    field, name = ".".join((*place, "weight_quantizer")), values.text(*place, "weight_quantizer")
    bits = values.whole(*place, "bits")
    if name is None:
        return
    fitting = list(WEIGHTS) if bits is None else serving(WEIGHTS, bits)
    if name not in WEIGHTS:
        where = "" if bits is None else f"of {bits} bits: "
        suggestion = did_you_mean(name, WEIGHTS)
        yield Problem(field, f"no weight quantizer {name!r}; {suggestion}{where}{listed(fitting)}")
    elif bits is not None and name not in fitting:
        served = listed(WEIGHTS[name].bits)
        yield Problem(field, f"{name} serves {served} bits, and bits is {bits}; for that: {listed(fitting)}")


def _groups(values: Values, place: Place) -> Iterator[Problem]:
    granularity, field = values.text(*place, "granularity"), ".".join((*place, "group_size"))
    group_size = values.whole(*place, "group_size")
    if granularity == "group" and not values.written(*place, "group_size"):
        yield Problem(field, "missing; granularity: group needs how many neighbours share a scale, e.g. 64")
    elif granularity != "group" and values.written(*place, "group_size"):
        yield Problem(
            field, f"used by granularity: group only, and it is {granularity or 'row'}; leave it out"
        )
    elif group_size is not None:
        width = values.number(*place, "width") or 1.0
        sizes = [(name, values.whole("model", "architecture", name)) for name in SIZES]
        yield from group_problems(field, group_size, row_sizes(dict(sizes), width))


def row_sizes(sizes: dict[str, int | None], width: float) -> list[tuple[str, float]]:
    """How long the rows of a model's matrices are: hidden and intermediate size, or a narrow one's share."""
    whole = [(name, float(size)) for name, size in sizes.items() if size]
    narrow = [(f"{name} at width {width:g}", size * width) for name, size in whole if width != 1]
    return [*((name, size) for name, size in whole if width == 1 or name == "hidden_size"), *narrow]


def _split(values: Values, place: Place) -> Iterator[Problem]:
    """The two halves are BWN's, and what they add up to is TWN's."""
    if values.raw(*place, "split") is not True:
        return
    own = values.text(*place, "weight_quantizer")
    if own not in (None, usual(WEIGHTS, 1)) and own in WEIGHTS:
        yield Problem(
            ".".join((*place, "weight_quantizer")), f"{own}; the two matrices of a sum are binarized by bwn"
        )
    parent = values.text(*place, "init_from")
    for section in SECTIONS:
        its = values.text(section, parent or "", "weight_quantizer")
        is_split = values.raw(section, parent or "", "split") is True
        if not is_split and its not in (None, usual(WEIGHTS, 2)) and its in WEIGHTS:
            yield Problem(
                ".".join((*place, "split")),
                f"{parent} is quantized by {its}, and only twn's weights are split; let it have twn",
            )
