"""The lineage tree: a ladder is a straight line, its arms branch off, nothing covers anything."""

from xml.etree import ElementTree

import some_results

from pipeline.evaluation.results import ModelResult
from pipeline.parts import every_part
from pipeline.record import Part, Record
from pipeline.reporting.lineage import drawn_parts, places, svg


def model(parent: str | None, weight_bits: int, activation_bits: int = 32) -> ModelResult:
    return some_results.model(0.9, parent, (weight_bits, activation_bits))


MODELS = {
    "teacher": model("pretrained", 32),
    "w8": model("teacher", 8),
    "w1": model("w8", 1),
    "w2": model("w8", 2),
    "w1a8": model("w1", 1, 8),
    "w1a8_direct": model("teacher", 1, 8),
}


def test_the_widest_child_goes_on_in_its_parents_row() -> None:
    at = places(MODELS)
    assert (at["teacher"], at["w8"], at["w2"]) == ((0, 0), (1, 0), (2, 0))
    assert at["w1"][0] == at["w2"][0]
    assert at["w1a8"] == (at["w1"][0] + 1, at["w1"][1])


def test_no_two_models_stand_in_one_place() -> None:
    at = places(MODELS)
    assert len(set(at.values())) == len(MODELS)


def test_a_rung_whose_parent_is_not_delivered_starts_a_row() -> None:
    models = {"teacher": model("pretrained", 32), "w1": model("w2", 1)}
    assert places(models) == {"teacher": (0, 0), "w1": (0, 1)}


def test_the_drawing_names_everything_and_marks_what_was_drawn_at_random() -> None:
    init = [
        Part(part, "drawn" if part.startswith("encoder") else "copied", distribution="normal", seed=3)
        for part in every_part(2)
    ]
    records = {"w1a8_direct": Record("w1a8_direct", "weights", "demo", "0" * 64, init=init)}
    text = svg(MODELS, records)
    ElementTree.fromstring(text)  # noqa: S314 (made here)
    assert all(f">{name}<" in text for name in MODELS)
    assert text.count("stroke-dasharray") == 1
    assert drawn_parts(records["w1a8_direct"]) == ["encoder"]


def test_a_name_is_text() -> None:
    assert "<script>" not in svg({"<script>": model(None, 1)}, {})


def test_an_arc_joins_a_rung_to_the_rung_that_taught_it() -> None:
    records = {
        "w1": Record("w1", "weights", "demo", "0" * 64, teacher="w2"),
        "w2": Record("w2", "weights", "demo", "0" * 64, teacher="teacher"),
        "w1a8": Record("w1a8", "weights_activations", "demo", "0" * 64, teacher="elsewhere"),
    }
    text = svg(MODELS, records)
    ElementTree.fromstring(text)  # noqa: S314 (made here)
    assert text.count("was taught by") == 1
    assert "w1 was taught by w2" in text
    assert "was taught by" not in svg(MODELS, {})
