"""What every mapping of params.yaml is, and the kinds of values in them."""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError


def _exactly_whole(value: object) -> object:
    """Literal[1] alone would take `true` and `1.0`, which equal 1, for 1."""
    if type(value) is not int:
        raise PydanticCustomError("int_type", "expected a whole number")
    return value


_WHOLE = BeforeValidator(_exactly_whole)
Bits = Annotated[Literal[1, 2, 4, 8], _WHOLE]
ActivationBits = Annotated[Literal[1, 2, 4, 8], _WHOLE]
Share = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0, le=1e6)]
Count = Annotated[int, Field(gt=0, lt=2**31)]
Even = Annotated[int, Field(gt=0, lt=2**31, multiple_of=2)]  # rows of the demo come in twins
Weight = Annotated[float, Field(ge=0, le=1e6)]
LearningRate = Annotated[float, Field(gt=0, le=1)]
Copies = Annotated[int, Field(ge=0, le=1000)]
Metric = Literal["accuracy", "f1", "matthews_correlation", "pearson", "spearman", "exact_match"]
DataKind = Literal["plain", "augmented"]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


class Section(BaseModel):
    """A mapping of params.yaml: unknown keys, wrong types, NaN and infinity are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def wrong(sentence: str) -> PydanticCustomError:
    """For a validator to raise: the sentence stands in the refusal as it is."""
    return PydanticCustomError("wrong", "{sentence}", {"sentence": sentence})
