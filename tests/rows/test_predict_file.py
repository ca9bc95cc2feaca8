"""`bitladder predict DIR --file FILE` answers every row, in order, as it answers the row alone."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from packed_models import Make

import bitladder
from bitladder.quantizers.precision import Precision
from bitladder.rows import answered, command
from bitladder.rows.row import Bad, Row
from bitladder.text.given import TextError

TEXTS = ["the dog sees", "a cat", "the big bird hears a fish ."]


def out(capsys: pytest.CaptureFixture[str]) -> tuple[list[dict[str, object]], list[str]]:
    said = capsys.readouterr()
    return [json.loads(line) for line in said.out.splitlines()], said.err.splitlines()


def test_each_row_has_the_answer_that_its_text_has_alone(
    packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answered, "AT_ONCE", 4)
    file, model = tmp_path / "texts.txt", bitladder.load(packed)
    file.write_text("\n".join(TEXTS * 3))
    assert command.main(str(packed), str(file)) == 0
    found, errors = out(capsys)
    assert errors == []
    assert [one.pop("line") for one in found] == list(range(1, 10))
    assert found == [model(text) for text in TEXTS * 3]


def test_bad_lines_are_told_by_number_and_by_the_exit_code(
    packed: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = b'{"review": "the dog"}\n{"review": ""}\noops\n{"review": "a cat"}\n'
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
    monkeypatch.setattr("bitladder.rows.reading.size", lambda file: None)
    assert command.main(str(packed), "-", text="review", form="jsonl") == 1
    found, errors = out(capsys)
    assert [one["line"] for one in found] == [1, 4]
    assert errors[0] == "bitladder: standard input, line 2: review: empty"
    assert errors[1].startswith("bitladder: standard input, line 3: no JSON: ")
    assert errors[2] == "bitladder: standard input: 2 of 4 rows were bad and have no answer"


def test_strict_stops_at_the_first_bad_line(packed: Path, tmp_path: Path) -> None:
    file = tmp_path / "texts.txt"
    file.write_text("the dog\n\na cat\n")
    with pytest.raises(TextError, match=r"texts\.txt, line 2: text: empty") as caught:
        command.main(str(packed), str(file), strict=True)
    assert caught.value.exit_code == 2


def test_questions_are_read_with_their_contexts(
    made: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, file = made(Precision(1, 1, 8), answering=True), tmp_path / "asked.csv"
    file.write_text("context,question\nthe dog sees a cat,the dog\n")
    assert command.main(str(folder), str(file)) == 0
    [found], _ = out(capsys)
    assert found == {"line": 2, **bitladder.load(folder)("the dog", "the dog sees a cat")}


@pytest.mark.parametrize(("file", "said"), [("nowhere.csv", "No such file"), (".", "Is a directory")])
def test_a_file_that_cannot_be_read_is_one_sentence(packed: Path, file: str, said: str) -> None:
    with pytest.raises(TextError, match=f"--file: {file}: {said}"):
        command.main(str(packed), file)


def test_a_row_that_the_model_refuses_spoils_no_other() -> None:
    def model(texts: list[str], pairs: None) -> list[dict[str, str]]:
        if "x" in texts:
            raise ValueError("not\nfinite")
        return [{"label": text} for text in texts]

    rows = [Row(1, "a"), Row(2, "x"), Bad(3, "empty"), Row(4, "b")]
    found = list(answered.answered(model, rows))  # type: ignore[arg-type]
    assert found == [(1, {"label": "a"}), Bad(2, "not finite"), Bad(3, "empty"), (4, {"label": "b"})]


@pytest.mark.parametrize(
    "arguments",
    [[], ["text", "--file", "a.txt"], ["text", "--strict"], ["--file", "a.txt", "--context", "b"]],
)
def test_a_text_and_a_file_exclude_each_other(packed: Path, arguments: list[str]) -> None:
    from typer.testing import CliRunner

    from bitladder.cli import app

    done = CliRunner().invoke(app, ["predict", str(packed), *arguments])
    assert done.exit_code == 2
    assert "give a TEXT, or --file FILE" in done.output


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_lines(packed: Path, tmp_path: Path) -> None:
    """MiB at most, of processes that read 2,000 and 60,000 lines."""

    def peak(lines: int) -> float:
        file = tmp_path / f"{lines}.txt"
        file.write_text("the big dog sees a cat and the bird hears .\n" * lines)
        code = (
            "import resource, sys; from bitladder.rows import command\n"
            "command.main(sys.argv[1], sys.argv[2])\n"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)"
        )
        run = [sys.executable, "-c", code, str(packed), str(file)]
        done = subprocess.run(run, capture_output=True, text=True, check=True)
        assert len(done.stdout.splitlines()) == lines
        return int(done.stderr) / 1024

    assert peak(60_000) < peak(2_000) + 8
