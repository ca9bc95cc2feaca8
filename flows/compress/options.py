"""The command `bitladder compress`, which works in any folder: what it runs is imported when it runs."""

import math
import os
from pathlib import Path
from typing import Annotated, Literal

import typer

app = typer.Typer()
Kind = Literal[
    "classification",
    "multi_label",
    "regression",
    "reranking",
    "token_classification",
    "question_answering",
    "embeddings",
]


@app.command()
def compress(
    file: Annotated[
        Path,
        typer.Argument(
            help="CSV, TSV, JSON lines or Parquet, told by its ending; for embeddings also plain text."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Where the model is put.")],
    text: Annotated[
        str | None, typer.Option(metavar="COL", help="The column that holds the text. Plain text needs none.")
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(
            metavar="COL",
            help="The column that holds the label: words or numbers. Of embeddings: scores or 0 and 1, "
            "in the files to judge by.",
        ),
    ] = None,
    text_pair: Annotated[
        str | None, typer.Option(metavar="COL", help="The column of the second text, for pairs.")
    ] = None,
    kind: Annotated[Kind, typer.Option(help="What is asked of a text (docs/kinds.md).")] = "classification",
    validation: Annotated[
        Path | None, typer.Option(metavar="FILE", help="To judge by. Default: a fifth of FILE, drawn.")
    ] = None,
    test: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Scored too, and nothing is chosen by it.")
    ] = None,
    group: Annotated[
        str | None, typer.Option(metavar="COL", help="Rows that share its value stay together when drawn.")
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|DIR", help="Pre-trained: minilm (the default), bert-base, or a BERT's folder."
        ),
    ] = None,
    teacher: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="A fine-tuned model of your own, taken as it is, in place of --base."
        ),
    ] = None,
    minutes: Annotated[
        float, typer.Option(min=0.1, metavar="N", help="Budget, of one processor core.")
    ] = 20.0,
    max_drop: Annotated[
        float, typer.Option(min=0, metavar="POINTS", help="How far below the teacher its score may be.")
    ] = 1.0,
    max_length: Annotated[
        int | None,
        typer.Option(
            min=8,
            metavar="N",
            help="Tokens of a text that are read, at most. Default: 128; of questions 384.",
        ),
    ] = None,
    project: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where everything else is kept. Default: DIR.project.")
    ] = None,
) -> None:
    """Make a small model of your own texts and labels.

    Fine-tunes a BERT, takes it down to 4, 2 and 1 bits, and puts the smallest model that is good enough
    where -o says. Stopped or killed, the same command goes on; a changed file starts what depends on it
    again. Exit code 1 when no model is good enough.
    """
    from flows.compress import command
    from flows.compress.asked import PAIRS, Asked

    if base is not None and teacher is not None:
        raise typer.BadParameter("only without --teacher, which is taken as it is", param_hint="--base")
    if kind in PAIRS and text_pair is None:
        raise typer.BadParameter(f"missing; {kind} reads two texts", param_hint="--text-pair")
    if kind == "token_classification" and text_pair is not None:
        raise typer.BadParameter(f"{kind} reads one text; leave it out", param_hint="--text-pair")
    if not math.isfinite(minutes):
        raise typer.BadParameter(f"{minutes}; expected a number of minutes", param_hint="--minutes")
    judging = validation is not None or test is not None
    if kind == "embeddings":
        _require_for_text(file, judging, {"--text": text, "--text-pair": text_pair, "--label": label})
        _refuse_for_text({"--teacher": teacher, "--group": group})
    else:
        _require({"--text": text, "--label": label})
    base = base or "minilm"
    known = base if base in ("minilm", "bert-base") else str(_place(Path(base)))
    output = _place(output)
    asked = Asked(
        file=_place(file),
        text=text,
        label=label,
        output=output,
        project=_place(project or output.with_name(f"{output.name}.project")),
        text_pair=text_pair,
        group=group,
        validation=validation and _place(validation),
        test=test and _place(test),
        kind=kind,
        base=known,
        teacher=teacher and _place(teacher),
        minutes=minutes,
        max_drop=max_drop,
        longest=max_length,
    )
    raise typer.Exit(command.main(asked))


def _place(path: Path) -> Path:
    """Absolute, of a home too where the shell has not put it in (--output=~/small)."""
    return Path(os.path.abspath(path.expanduser()))  # .. and . are no names; a link stays one


def _require(options: dict[str, str | None]) -> None:
    for name, value in options.items():
        if value is None:
            raise typer.BadParameter("missing; name the column", param_hint=name)


def _require_for_text(file: Path, judging: bool, columns: dict[str, str | None]) -> None:
    """Of embeddings: the columns of a table, and of files of pairs."""
    needed = ["--text", "--text-pair"] if judging else []
    needed += (
        ["--text"] if file.suffix.lower() in (".csv", ".tsv", ".tab", ".jsonl", ".ndjson", ".json") else []
    )
    _require({name: columns[name] for name in needed})
    for name in ("--text-pair", "--label") if not judging else ():
        if columns[name] is not None:
            raise typer.BadParameter(
                "only a column of the files to judge by; give --validation too", param_hint=name
            )


def _refuse_for_text(options: dict[str, object]) -> None:
    for name, value in options.items():
        if value is not None:
            raise typer.BadParameter(
                "not for --kind embeddings: the encoder that --base names teaches itself, and no rows are "
                "drawn by groups",
                param_hint=name,
            )
