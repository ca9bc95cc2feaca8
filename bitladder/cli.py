"""The `bitladder` command. Each command imports what it runs when it runs, so that `--help` answers at once.

Here stand the commands that need a packed model and nothing else. Those that need a project (`plan`, `run`,
`results`, ...) are in the project's own `flows/commands.py`, and are there when the command runs in its root.

Exit codes: 0 done, 1 failed, 2 wrong usage or parameters, 3 a service that is needed does not answer, 4 an
input is not what was written, 5 training diverged, 75 another process is at it, 130 interrupted. Results go
to stdout, everything else to stderr. Failures are plain lines; `--debug` shows where they came from.
"""

import os
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from bitladder import shown

PROJECT = Path("flows", "commands.py")  # what makes a folder the root of a project
CLONE = Path(__file__).parents[1]
_EXTRAS = {"numba": "runtime", "llvmlite": "runtime"}
_EXTRAS |= dict.fromkeys(("onnx", "onnxruntime"), "onnx")
_EXTRAS |= dict.fromkeys(("fastapi", "starlette", "uvicorn", "prometheus_client"), "serve")
OF_A_PROJECT = (
    "best",
    "compare",
    "deploy",
    "down",
    "lineage",
    "plan",
    "report",
    "results",
    "run",
    "search",
    "submit",
    "sync",
    "up",
    "worker",
)

app = typer.Typer(
    name="bitladder",
    help="Take a fine-tuned BERT down to one bit, rung by rung, and prove how each model came to be.",
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
    if debug:
        os.environ["BITLADDER_DEBUG"] = "1"


@app.command()
def inspect(folder: Folder, as_json: Json = False) -> None:
    """Show a packed model's bits and bytes, part by part."""
    from bitladder.packed import size

    raise typer.Exit(size.main(str(folder), as_json))


@app.command()
def doctor(as_json: Json = False) -> None:
    """Show which kernels run packed models on this computer, and why.

    Each engine is timed once, for some milliseconds; BITLADDER_ENGINE takes one by name. BITLADDER_THREADS
    says how many threads compute; else OMP_NUM_THREADS, else one for each core (in transformers, torch's).
    """
    from bitladder.runtime import doctor

    raise typer.Exit(doctor.main(as_json))


class TakesTexts(TyperCommand):
    """A text may begin with a dash, which looks like an option then."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            if hasattr(error, "option_name") and hasattr(error, "message"):
                error.message += (
                    "\nA text that begins with - goes behind --: bitladder predict DIR -- '-5 degrees'"
                )
            raise


@app.command(cls=TakesTexts)
def predict(
    folder: Folder,
    text: Annotated[str | None, typer.Argument(help="The sentence, or the question.")] = None,
    text_pair: Annotated[str | None, typer.Argument(help="The second sentence, for tasks on pairs.")] = None,
    context: Annotated[
        str | None, typer.Option(metavar="TEXT", help="What the question is answered from.")
    ] = None,
    file: Annotated[
        str | None, typer.Option(metavar="FILE", help="Answer each row of a file; - is standard input.")
    ] = None,
    form: Annotated[
        Literal["jsonl", "csv", "tsv", "text"] | None,
        typer.Option("--format", help="Of the file. Default: by its ending; text is a text a line."),
    ] = None,
    text_column: Annotated[
        str | None, typer.Option("--text", "--column", metavar="COL", help="Column or key of the text.")
    ] = None,
    pair_column: Annotated[
        str | None, typer.Option("--text-pair", metavar="COL", help="That of the second text, or context.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first bad line.")] = False,
    as_json: Json = False,
) -> None:
    """Run a packed model on a text, a pair, a question, or a file.

    Of a file, a line of JSON for each row, in order, with the number of its line. A bad row is told on
    stderr and has none: exit code 1, or with --strict 2 at once.
    """
    if file is None:
        if text is None or form or text_column or pair_column or strict:
            raise typer.BadParameter("give a TEXT, or --file FILE with what says how to read it")
        from bitladder import predict

        raise typer.Exit(predict.main(str(folder), text, text_pair, context, as_json))
    if text is not None or context is not None:
        raise typer.BadParameter("give a TEXT, or --file FILE, not both")
    from bitladder.rows import command

    code = command.main(str(folder), file, text=text_column, pair=pair_column, form=form, strict=strict)
    raise typer.Exit(code)


@app.command()
def serve(
    model: Annotated[
        str,
        typer.Argument(metavar="DIR|NAME@champion", help="A packed model, or in a project a registered one."),
    ],
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 is all of them.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 8000,
    max_rows: Annotated[int, typer.Option(min=1, metavar="N", help="Texts in one request.")] = 64,
    max_tokens: Annotated[int, typer.Option(min=8, metavar="N", help="Tokens of one text or pair.")] = 4096,
    max_kib: Annotated[int, typer.Option(min=1, metavar="N", help="Size of a request.")] = 1024,
    queue: Annotated[int, typer.Option(min=1, metavar="N", help="Texts that wait; more are refused.")] = 1024,
    wait_ms: Annotated[
        float, typer.Option(min=0, max=1000, metavar="X", help="How long a text waits for others.")
    ] = 1.0,
) -> None:
    """Answer texts over HTTP.

    POST /predict; a page to try it at /, and /docs, /healthz, /metrics. Listens on this machine alone unless
    --host says otherwise. Ctrl-C and SIGTERM let requests finish.
    """
    from bitladder.serving import server
    from bitladder.serving.limits import Limits

    folder = _registered(model) if "@" in model and not Path(model).exists() else Path(model)
    limits = Limits(max_kib * 1024, max_rows, max_tokens, queue, wait_ms / 1000)
    raise typer.Exit(server.main(folder, host, port, limits))


@app.command()
def export(
    folder: Folder,
    onnx: Annotated[Path, typer.Option("--onnx", metavar="OUT", help="The folder to write.")],
    int8: Annotated[
        bool, typer.Option("--int8", help="Weights of 8 bits in memory, not 2: faster, as exact.")
    ] = False,
    file: Annotated[
        str | None, typer.Option(metavar="FILE", help="Rows to compare logits on. Default: drawn ids.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a packed model as a graph that stock ONNX Runtime runs.

    OUT gets model.onnx, the tokenizer and a config.json. The graph is run here and its logits are compared
    with ours: where they differ by more than a bound nothing is written, exit code 1.
    """
    from bitladder.exporting import command

    raise typer.Exit(command.main(folder, onnx, int8=int8, file=file, as_json=as_json))


@app.command()
def verify(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DIR]", exists=True, file_okay=False, help="A model. Default: all that a project has."
        ),
    ] = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Of a project: every output against dvc.lock as well.")
    ] = False,
    cache: Annotated[
        bool, typer.Option("--cache", help="Of a project: every object of it in DVC's cache as well.")
    ] = False,
    remote: Annotated[
        bool, typer.Option("--remote", help="Of a project: every object of it in DVC's remote as well.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Hash every file anew and compare it with what was written.

    Exit code 1 when one differs; each is named, and what to do.
    """
    if folder is None:
        if verify_project is None:
            raise OutsideError("verify: give the folder of a model, or change to a project's root")
        raise typer.Exit(verify_project(deep=deep, cache=cache, remote=remote, as_json=as_json))
    if deep or cache or remote:
        raise typer.BadParameter("--deep, --cache and --remote are of a whole project: leave DIR away")
    from bitladder import verify

    raise typer.Exit(verify.main(folder, as_json))


@app.command()
def push(
    folder: Folder,
    repo: Annotated[str, typer.Argument(metavar="REPO", help="On the Hugging Face Hub: OWNER/NAME.")],
    card: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Model card. Default: the project's report's, else a short one."),
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="If the repository is made now.")] = False,
) -> None:
    """Upload a packed model to the Hugging Face Hub.

    The token is that of HF_TOKEN or of `hf auth login`. Checked before anything is sent.
    """
    from bitladder import hub

    raise typer.Exit(hub.main(folder, repo, card, private))


# Finds a registered model's folder; of a project, whose commands put it here.
resolve: Callable[[str], Path] | None = None
# Hashes all that a project keeps; put here likewise.
verify_project: Callable[..., int] | None = None


def _registered(name: str) -> Path:
    if resolve is None:
        raise OutsideError(f"{name}: registered models are found in a project's root; or give a folder")
    return resolve(name)


class OutsideError(ValueError):
    """A command of a project was called elsewhere."""

    exit_code = 2


def main() -> None:
    """Entry point: run a command, turn its failure into a line and an exit code."""
    shown.never_fail(sys.stdout, sys.stderr)
    try:
        _add_those_of_the_project(Path.cwd())
        app(prog_name="bitladder")
    except Exception as error:
        if os.environ.get("BITLADDER_DEBUG") == "1":
            import traceback

            traceback.print_exc()
        else:
            print(_said(error), file=sys.stderr)
        code = 2 if _not_installed(error) else int(getattr(error, "exit_code", 1))
        raise SystemExit(code) from None


def _add_those_of_the_project(folder: Path) -> None:
    """Outside of a project its commands are known by name only, and say where they run."""
    if (folder / PROJECT).is_file():
        sys.path.insert(0, str(folder))
        import_module("flows.commands").add_to(app)
        return
    if (CLONE / PROJECT).is_file():  # this is no copy of the library alone: it can train too
        sys.path.append(str(CLONE))
        app.registered_commands.extend(import_module("flows.compress.options").app.registered_commands)
    app.info.epilog = f"In a project's root there are more commands: {', '.join(OF_A_PROJECT)}."
    for name in OF_A_PROJECT:
        options: Any = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}
        app.command(name, hidden=True, context_settings=options)(_outside)


def _outside(context: typer.Context) -> None:
    raise OutsideError(
        f"{context.info_name} works in a project's root, the folder with params.yaml and flows/; "
        "change to it, or clone the project first"
    )


def _said(error: Exception) -> str:
    """Our own failures (ValueError, RuntimeError and their kin) speak for themselves."""
    if package := _not_installed(error):
        extra = _EXTRAS.get(package, "train")
        return f"bitladder: this needs {package}, which is not installed: pip install 'bitladder[{extra}]'"
    kind = "" if isinstance(error, ValueError | RuntimeError) else f"{type(error).__name__}: "
    return f"bitladder: {kind}{error}"


def _not_installed(error: Exception) -> str | None:
    """Whose package it is that an import did not find, unless it is our own."""
    package = (error.name or "").split(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    return package if package not in ("", "bitladder", "flows", "pipeline") else None


if __name__ == "__main__":
    main()
