"""The report and the cards: whole, self-contained, the same bytes twice, and nobody else's markup in them."""

import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import some_results
import tiny_project

from bitladder import files
from pipeline import paths
from pipeline.evaluation import results
from pipeline.evaluation.agreement import Agreement, ByKernels, OnSplit
from pipeline.evaluation.results import ModelResult
from pipeline.params import Params
from pipeline.parts import every_part
from pipeline.record import Part, Record
from pipeline.reporting import card, cells
from pipeline.reporting.report import Contents, headline, lineage, page, read
from pipeline.stages import evaluate, pack, report

DELIVER = ["w8", "w1", "w1a8", "w1a8_direct"]


def evaluated() -> Params:
    found = tiny_project.make().model_copy(update={"deliver": DELIVER})
    for rung in found.deliver:
        pack.run(found, rung)
    evaluate.run(found)
    return found


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("project"))
        yield evaluated()


def html() -> str:
    return (paths.REPORTS / "report.html").read_text(encoding="utf-8")


class Tags(HTMLParser):
    """Collects the names of elements, and complains about one closed out of order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.seen.add(tag)
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_report_and_a_card_per_delivered_rung_are_published(project: Params) -> None:
    report.run(project)
    names = set(files.verify(paths.REPORTS))
    assert names == {"report.html", *(f"cards/{rung}.md" for rung in DELIVER)}


def test_twice_the_same_bytes(project: Params) -> None:
    report.run(project)
    first = files.verify(paths.REPORTS)
    report.run(project)
    assert files.verify(paths.REPORTS) == first


def test_the_page_needs_nothing_from_outside(project: Params) -> None:
    report.run(project)
    text = html()
    assert "<script" not in text
    assert not re.search(r'(src|href)="(?!#)', text)
    assert "@import" not in text


def test_the_page_is_well_formed(project: Params) -> None:
    report.run(project)
    tags = Tags()
    tags.feed(html())
    assert tags.open == []
    assert {"table", "svg", "h2"} <= tags.seen


def test_agreement_is_of_the_file_and_of_the_kernels(project: Params) -> None:
    alone = OnSplit(9, 0.0, 1.0)
    both = replace(alone, by_kernels=ByKernels(0.0567891, 0.01, 0.999, -0.002))
    agreements = {"w1": Agreement({"a": both}), "w2": Agreement({"a": alone})}
    text = page(replace(read(project), agreements=agreements))
    for rung, cells_ in (
        ("w1", ["0", "100.00%", "0.0568", "99.90%"]),
        ("w2", ["0", "100.00%", "-", "-"]),
    ):
        shown = "".join(f"<td>{cell}</td>" for cell in ("9", *cells_))
        assert f'<td>{rung}</td><td class="text">a</td>{shown}</tr>' in text


def test_a_card_tells_agreement_of_the_file_and_of_the_kernels(project: Params) -> None:
    both = OnSplit(9, 0.0, 1.0, ByKernels(0.0567891, 0.01, 0.999, -0.002))
    text = card.card("w1", replace(read(project), agreements={"w1": Agreement({"a": both})}))
    assert (
        "\nOn 9 rows of a a logit differs from the trained model's by at most 0; run by our kernels, by at "
        "most 0.0568, and 99.90% of labels are the same, and the score differs by -0.20 points.\n"
    ) in text


def test_the_page_tells_scores_sizes_lineage_claims_data_and_agreement(project: Params) -> None:
    report.run(project)
    text = html()
    for expected in (
        "Results",
        "Score against size",
        "Lineage",
        "Claims",
        "Sizes",
        "Data",
        "Packed against trained",
    ):
        assert f"<h2>{expected}</h2>" in text
    assert "w1a8_direct" in text
    assert "no: 16, yes: 32" in text
    assert f"{(paths.packed_dir('w1') / 'model.safetensors').stat().st_size:,}" in text


def test_nothing_of_the_machine_or_the_moment_is_in_it(project: Params) -> None:
    report.run(project)
    written = html() + "".join(path.read_text() for path in (paths.REPORTS / "cards").iterdir())
    assert str(Path.cwd()) not in written
    assert not re.search(r"20\d\d-\d\d-\d\d|\d\d:\d\d:\d\d", written)


def test_markup_in_data_is_shown_not_obeyed(project: Params) -> None:
    found = read(project)
    evil = "<script>alert(1)</script>"
    data = {"splits": {evil: {"rows": 1, "labels": {evil: 1}, "duplicates": 0, "rows_also_in_train": 0}}}
    text = page(replace(found, data=data, results=found.results.model_copy(update={"task": evil})))
    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_a_page_without_a_data_summary_says_so(project: Params) -> None:
    assert "No summary of the data" in page(replace(read(project), data=None))


def test_what_was_evaluated_before_another_packing_is_refused(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    found = evaluated()
    tiny_project.train(
        "w1",
        found.weights["w1"].model_copy(update={"granularity": "matrix"}),
        found,
        max_position_embeddings=found.task.max_length,
    )
    pack.run(found, "w1")
    with pytest.raises(files.IntegrityError, match="w1 was evaluated as"):
        report.run(found)


def test_a_card_tells_origin_recipe_score_size_and_limits(project: Params) -> None:
    report.run(project)
    text = (paths.REPORTS / "cards" / "w1a8.md").read_text()
    for heading in ("Use", "Scores", "Size", "Lineage", "Recipe", "Limits", "Licence"):
        assert f"\n## {heading}\n" in text
    assert "pretrained → teacher → w8 → w4 → w2 → w1 → w1a8\n" in text
    assert "learning_rate: 0.0003" in text
    assert files.sha256(paths.packed_dir("w1a8") / "model.safetensors") in text


def test_the_card_of_a_split_rung_says_that_a_weight_is_two(project: Params) -> None:
    found = read(project)
    split_found = changed(found, unusual=["width 0.5", "sums of two"])
    said = "weights 1, embeddings 1, activations 32; each weight is the sum of two 1-bit ones;"
    assert said in card.card("w1", split_found)
    assert said not in card.card("w1", found)


def changed(found: Contents, **changes: Any) -> Contents:
    """With another w1 in its results."""
    w1 = found.results.models["w1"].model_copy(update=changes)
    return replace(found, results=some_results.with_models(found.results, w1=w1))


def test_a_card_says_nothing_of_speed_but_where_to_look(project: Params) -> None:
    text = card.card("w1a8", read(project))
    assert "faster" not in text
    assert "Its speed depends on the processor and was not measured here" in text


def test_page_and_cards_tell_what_is_claimed_of_a_rung(project: Params) -> None:
    report.run(project)
    cards = {rung: (paths.REPORTS / "cards" / f"{rung}.md").read_text() for rung in DELIVER}
    [claim] = results.read().claims
    for text in (cards["w1a8"], cards["w1a8_direct"], unescape(html())):
        assert claim.statement in text
        assert claim.verdict in text
        assert claim.rule in text
    assert "## Claims" not in cards["w8"]


def with_seeds(found: Contents) -> Contents:
    """As if every model had been trained from two seeds, with scores 0.1 apart."""
    better = {
        name: model.model_copy(update={"score": (model.score or 0) + 0.1})
        for name, model in found.results.models.items()
    }
    every = [found.results, some_results.with_models(found.results, **better)]
    return replace(found, results=some_results.of_several_seeds(every))


def test_with_seeds_page_and_cards_show_mean_and_spread(project: Params) -> None:
    found = with_seeds(changed(read(project), collapsed=False))
    expected = f"{found.results.models['w1'].means.mean:.4f} ± 0.0707"
    assert f"<td>{expected}</td>" in page(found)
    text = card.card("w1", found)
    assert f"Over 2 seeds the recipe gets accuracy {expected}" in text
    assert "The table is of this file, seed 0." in text


@pytest.mark.parametrize("says", [False, True])
def test_a_card_says_that_its_model_gives_one_answer(project: Params, says: bool) -> None:
    alone = changed(read(project), collapsed=says, seeds=None)
    of_one, of_two = (card.card("w1", found) for found in (alone, with_seeds(alone)))
    assert ("It gives one answer to all rows of validation." in of_one) == says
    assert cells.SAYS_COLLAPSED not in of_one
    assert (cells.SAYS_COLLAPSED in of_two) == says


def test_a_cards_metadata_is_yaml(project: Params) -> None:
    from ruamel.yaml import YAML

    report.run(project)
    text = (paths.REPORTS / "cards" / "w1.md").read_text().split("---")[1]
    metadata = YAML(typ="safe").load(text)
    assert metadata["model-index"][0]["results"][0]["metrics"][0]["type"] == "accuracy"


def rung(gap: float | None, mib: float, activation_bits: int = 32, **changes: Any) -> ModelResult:
    score = None if gap is None else 0.9 + gap
    size = {"mib": mib, "bytes": int(mib * 2**20), "ratio": 10 / mib}
    return some_results.model(score, bits=(1, activation_bits), gap=gap, **size, **changes)


@pytest.mark.parametrize(
    ("rungs", "named"),
    [
        ({"w8": rung(0.0, 3), "w1": rung(-0.009, 1), "w1a1": rung(-0.2, 0.9)}, "w1 (1-bit weights"),
        ({"w1": rung(-0.05, 1), "w1a1": rung(-0.2, 0.9)}, "w1 (1-bit weights"),
        ({"w1": rung(-0.05, 1), "w1a1": rung(0.0, 0.9, collapsed=True)}, "w1 (1-bit weights"),
        ({"w1": rung(None, 1)}, "No rung has a defined score"),
    ],
)
def test_the_headline_names_the_smallest_rung_near_the_teacher(
    rungs: dict[str, ModelResult], named: str
) -> None:
    found = some_results.results({"teacher": some_results.teacher(mib=10.0), **rungs})
    assert headline(found).startswith(named)


LADDER = {
    "teacher": some_results.teacher(),
    "w8": some_results.model(0.8, "teacher", (8, 32)),
    "w1": some_results.model(0.8, "w8"),
    "w2": some_results.model(0.8, "w8", (2, 32)),
    "w1a8": some_results.model(0.8, "w1", (1, 8)),
    "w4a8": some_results.model(0.8, "w4", (4, 8)),
}


def test_in_the_lineage_each_model_stands_below_and_right_of_the_one_it_starts_from() -> None:
    places = [(name, depth) for depth, name, _ in lineage(LADDER, {})]
    assert places == [("teacher", 0), ("w8", 1), ("w2", 2), ("w1", 2), ("w1a8", 3), ("w4a8", 0)], (
        "w4, which w4a8 starts from, is not delivered"
    )


def test_the_lineage_says_what_was_drawn_at_random_and_which_rung_taught() -> None:
    drawn = [
        Part(part, "drawn", distribution="normal", seed=3) for part in every_part(2) if "encoder" in part
    ]
    records = {
        "w1": Record("w1", "weights", "demo", "0" * 64, teacher="w2", init=drawn),
        "w2": Record("w2", "weights", "demo", "0" * 64, teacher="teacher"),
    }
    words = {name: said for _, name, said in lineage(LADDER, records)}
    assert words["w1"] == ["W1 E1 A32", "0.8000", "1 MiB", "drawn at random: encoder", "taught by w2"]
    assert words["w2"] == ["W2 E2 A32", "0.8000", "2 MiB"]
