"""The commands of `bitladder` that need a project: what they run is imported when they run.

`bitladder.cli` adds them to its own when it is called in the project's root.
"""

from pathlib import Path
from typing import Annotated

import typer

from bitladder import cli
from bitladder.cli import Json
from flows import environment
from flows.compress import options

app = typer.Typer()


def add_to(main: typer.Typer) -> None:
    """Add these commands to `main`, in a prepared environment, which is the children's too."""
    environment.prepare()
    cli.resolve = _resolve
    cli.verify_project = _verify
    main.registered_commands.extend(options.app.registered_commands)
    main.registered_commands.extend(app.registered_commands)


def _resolve(name: str) -> Path:
    from pipeline.tracking import delivered

    return delivered.folder(name)


def _verify(*, deep: bool, cache: bool, remote: bool, as_json: bool) -> int:
    from flows import integrity

    return integrity.main(deep=deep, cache=cache, remote=remote, as_json=as_json)


@app.command()
def plan(
    as_json: Json = False,
    status: Annotated[
        bool, typer.Option("--status/--no-status", help="Ask DVC which stages would run, and why.")
    ] = True,
    measure: Annotated[
        bool,
        typer.Option("--measure/--no-measure", help="Time a few real training steps of what never ran here."),
    ] = True,
) -> None:
    """Check params.yaml; show what would run and what it takes. Touch nothing that DVC keeps.

    Minutes come from what stages took here before, else from a few real training steps, timed now.
    """
    from flows import plan

    typer.echo(plan.main(as_json=as_json, ask_dvc=status, measure=measure))


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
    pool: Annotated[
        str | None, typer.Option(metavar="NAME", help="Have the workers of this pool run the stages.")
    ] = None,
) -> None:
    """Run what changed, as one Prefect flow."""
    from flows.run import run_command

    raise typer.Exit(run_command(jobs, target, pool))


Pool = Annotated[str, typer.Option(metavar="NAME", help="Work pool of Prefect's; made where it is missing.")]


@app.command()
def deploy(pool: Pool = "bitladder") -> None:
    """Let several machines share the stages.

    Makes a work pool and two deployments, at the Prefect server of PREFECT_API_URL. The machines also share
    DVC's default remote; docs/machines.md.
    """
    from flows.machines import deploy

    typer.echo(deploy.deploy(pool))


@app.command()
def worker(
    pool: Annotated[str, typer.Option(metavar="NAME", help="The pool that `deploy` made.")] = "bitladder",
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, metavar="N", help="Stages side by side.")] = 1,
) -> None:
    """Take stages from a pool, until stopped.

    They run in this clone, which has to be at the same commit as the one that orders them.
    """
    from flows import run
    from flows.machines import deploy

    run.share_cores(jobs)
    deploy.worker(pool, jobs)


@app.command()
def search(
    space: Annotated[
        str, typer.Option(metavar="NAME", help="What to choose from: conf/search/NAME.yaml.")
    ] = "w1a8",
    trials: Annotated[
        int, typer.Option(min=1, metavar="N", help="Ladders to try, over all processes and starts.")
    ] = 20,
    steps: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Of each ladder in all. Default: the space's.")
    ] = None,
    name: Annotated[
        str, typer.Option(metavar="NAME", help="Of what is found: conf/ladder/NAME.yaml.")
    ] = "found",
    storage: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Database to share with other machines. Default: SQLite in .bitladder."
        ),
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, metavar="N", help="Ladders side by side.")] = 1,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Of the choices; not of the trainings.")] = 0,
) -> None:
    """Search for the best ladder at equal steps.

    Which rungs, from which, on which rows, for what share of the steps: each trial trains one ladder, and
    the best score on the selection split wins. Stopped or killed, the same command goes on; given twice, in
    two terminals, both share the work.
    """
    from flows.search import command

    code = command.main(space, name=name, trials=trials, steps=steps, storage=storage, jobs=jobs, seed=seed)
    raise typer.Exit(code)


@app.command()
def up() -> None:
    """Start Prefect's and MLflow's servers on this machine."""
    from flows import servers

    typer.echo(servers.up())


@app.command()
def down() -> None:
    """Stop the servers that `up` started."""
    from flows import servers

    typer.echo(servers.down())


@app.command()
def results(as_json: Json = False) -> None:
    """Show bits, parent, score and size of every model."""
    from pipeline.reporting import table

    raise typer.Exit(table.main(as_json))


@app.command()
def report(
    again: Annotated[
        bool, typer.Option("--again", help="Time every model on this computer once more.")
    ] = False,
) -> None:
    """Bring the report up to date, with speeds as measured here."""
    from pipeline import params_file, paths
    from pipeline.stages import report

    typer.echo(report.page_of_now(params_file.load(paths.PARAMS), again=again))


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
    from pipeline.tracking.choice import Criteria

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
