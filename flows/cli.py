"""The `bitladder` command. Each command imports what it runs when it runs, so that `--help` answers at once.

Exit codes: 0 done, 1 failed, 2 wrong usage or parameters, 3 a service that is needed does not answer, 4 an
input is not what was written, 5 training diverged, 75 another process is at it, 130 interrupted. Results go
to stdout, everything else to stderr. Failures are plain lines; `--debug` shows where they came from.
"""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="bitladder",
    help="Take a fine-tuned BERT down to one bit, rung by rung, and prove how each model came to be.",
    epilog="Run it in the project's root. Which ladder: params.yaml. What it means: README.md.",
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for another program.")]
# Checked here: to transformers, a folder that does not exist is the name of a model on the Hub.
Folder = Annotated[
    Path,
    typer.Argument(metavar="DIR", exists=True, file_okay=False, help="A packed model, such as packed/w1a8."),
]


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            typer.echo(f"bitladder {version('bitladder')}")
        except PackageNotFoundError:
            typer.echo("bitladder, not installed (run from its folder)")
        raise typer.Exit


@app.callback()
def bitladder(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of a failure.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    from flows import environment

    if debug:
        os.environ["BITLADDER_DEBUG"] = "1"
    environment.prepare()


@app.command()
def plan(
    as_json: Json = False,
    status: Annotated[
        bool, typer.Option("--status/--no-status", help="Ask DVC which stages would run, and why.")
    ] = True,
    measure: Annotated[
        bool, typer.Option("--measure/--no-measure", help="Take a few steps of what was never measured.")
    ] = True,
) -> None:
    """Check params.yaml; show what would run and what it takes. Touch nothing that DVC keeps.

    Minutes and memory come from a few real steps of each kind of training, measured once.
    """
    from flows import plan

    typer.echo(plan.main(as_json=as_json, ask_dvc=status, anew=measure))


@app.command()
def run(
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs", "-j", min=1, metavar="N", help="Stages side by side. Default: one for every two cores."
        ),
    ] = None,
    target: Annotated[
        str | None, typer.Option(metavar="STAGE", help="Only this stage and what it needs, e.g. weights@w2.")
    ] = None,
) -> None:
    """Run what changed, as one Prefect flow."""
    from flows.compress import run_command

    raise typer.Exit(run_command(jobs, target))


@app.command()
def up() -> None:
    """Start Prefect's and MLflow's servers on this machine."""
    from flows import servers

    raise typer.Exit(servers.up())


@app.command()
def down() -> None:
    """Stop the servers that `up` started."""
    from flows import servers

    raise typer.Exit(servers.down())


@app.command()
def results(as_json: Json = False) -> None:
    """Show bits, parent, score and size of every model."""
    from pipeline.reporting import table

    raise typer.Exit(table.main(as_json))


@app.command()
def compare(
    results: Annotated[
        list[str],
        typer.Argument(metavar="FILE...", help="A results.json per task; NAME=FILE tells ladders apart."),
    ],
    as_json: Json = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown for a README.")] = False,
) -> None:
    """Show the results of several tasks as one table.

    With GLUE's two averages where all eight tasks are there, the gap to the own teacher, and every task's
    verdict on each claim.
    """
    from pipeline.reporting import compare

    raise typer.Exit(compare.main(results, as_json=as_json, as_markdown=as_markdown))


@app.command()
def lineage(
    rung: Annotated[str, typer.Argument(help="A rung of the ladder, such as w1a8.")], as_json: Json = False
) -> None:
    """Walk from a rung back to the teacher, and check each step.

    Checked: records, weights and packed folders against their manifests and against MLflow.
    """
    from pipeline.tracking import commands

    raise typer.Exit(commands.lineage(rung, as_json))


@app.command()
def best(
    max_mib: Annotated[float | None, typer.Option(min=0, metavar="X", help="Largest packed file.")] = None,
    min_score: Annotated[float | None, typer.Option(metavar="Y", help="Least score.")] = None,
    activation_bits: Annotated[int | None, typer.Option(metavar="N", help="Exactly these.")] = None,
    weight_bits: Annotated[
        int, typer.Option(metavar="N", help="Exactly these: 1, 2, 4 or 8; 0 for any.", show_default=True)
    ] = 1,
    as_json: Json = False,
) -> None:
    """Choose the best registered model within limits.

    Weights of 1 bit are wanted unless --weight-bits says otherwise. A model trained again since it was
    registered does not compete. The best gets the alias `champion`, and later runs choose by these limits.
    """
    from pipeline.tracking import commands
    from pipeline.tracking.criteria import Criteria

    raise typer.Exit(commands.best(Criteria(max_mib, min_score, activation_bits, weight_bits), as_json))


@app.command()
def sync(as_json: Json = False) -> None:
    """Deliver to MLflow what its server did not take while training.

    Each point once, however often it is asked for. Exit code 3 when MLflow does not answer, 1 when it
    refuses a curve.
    """
    from pipeline.tracking import commands

    raise typer.Exit(commands.sync(as_json))


@app.command()
def inspect(folder: Folder, as_json: Json = False) -> None:
    """Show a packed model's bits and bytes, part by part."""
    from pipeline.packing import inspect

    raise typer.Exit(inspect.main(str(folder), as_json))


@app.command()
def doctor(as_json: Json = False) -> None:
    """Show which kernels run packed models on this computer, and why.

    BITLADDER_ENGINE chooses: lookup, dot_products or torch. BITLADDER_THREADS says how many sequences are
    computed at a time; without it OMP_NUM_THREADS, else one for each core (in transformers, torch's number).
    """
    from pipeline.packing import doctor

    raise typer.Exit(doctor.main(as_json))


@app.command()
def predict(
    folder: Folder,
    text: Annotated[str, typer.Argument(help="The sentence, or the question.")],
    text_pair: Annotated[str | None, typer.Argument(help="The second sentence, for tasks on pairs.")] = None,
    context: Annotated[
        str | None, typer.Option(metavar="TEXT", help="What the question is answered from.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Run a packed model on a sentence, a pair, or a question."""
    from pipeline.packing import predict

    raise typer.Exit(predict.main(str(folder), text, context or text_pair, as_json))


@app.command()
def submit(
    rung: Annotated[str, typer.Argument(help="A packed rung, such as w1a8.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="OUT", help="Folder for the files.")],
    root: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Holds glue/<task>/test.parquet; else data.root, or the Hub."),
    ] = None,
) -> None:
    """Answer a GLUE task's test split in its server's files."""
    from pipeline.reporting import submission

    raise typer.Exit(submission.main(rung, root, output))


def main() -> None:
    """Entry point: run a command, turn its failure into a line and an exit code."""
    try:
        app(prog_name="bitladder")
    except Exception as error:
        if os.environ.get("BITLADDER_DEBUG") == "1":
            import traceback

            traceback.print_exc()
        else:
            print(_said(error), file=sys.stderr)
        raise SystemExit(_exit_code(error)) from None


def _exit_code(error: Exception) -> int:
    from pipeline.files import IntegrityError

    if _not_installed(error):
        return 2
    return 4 if isinstance(error, IntegrityError) else int(getattr(error, "exit_code", 1))


def _said(error: Exception) -> str:
    """Our own failures (ValueError, RuntimeError and their kin) speak for themselves."""
    if package := _not_installed(error):
        extra = "runtime" if package in ("numba", "llvmlite") else "train"
        return f"bitladder: this needs {package}, which is not installed: pip install 'bitladder[{extra}]'"
    kind = "" if isinstance(error, ValueError | RuntimeError) else f"{type(error).__name__}: "
    return f"bitladder: {kind}{error}"


def _not_installed(error: Exception) -> str | None:
    """Whose package it is that an import did not find, unless it is our own."""
    package = (error.name or "").split(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    return package if package not in ("", "flows", "pipeline") else None


if __name__ == "__main__":
    main()
