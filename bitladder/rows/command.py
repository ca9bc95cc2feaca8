"""`bitladder predict DIR --file FILE`: a line of JSON for each row, in order, in constant memory."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bitladder import predict, shown
from bitladder.rows import reading
from bitladder.rows.answered import answered
from bitladder.rows.reading import Format, Lines
from bitladder.rows.row import Bad, names_for


def main(
    folder: str,
    file: str,
    *,
    text: str | None = None,
    pair: str | None = None,
    form: Format | None = None,
    strict: bool = False,
) -> int:
    """Answer every row of `file` (`-`: standard input) on stdout, as `{"line": 1, ...}`.

    Args:
        text, pair: what the columns or keys are called, if not `text` and `text_pair`, or `question` and
            `context`.
        form: by the file's ending unless given.
        strict: the first bad line ends it.

    Returns:
        0, or 1 when lines were bad; each has its line on stderr.

    Raises as `bitladder.load` does, and TextError: there is no such file or column, or with `strict` a bad
    line.
    """
    with reading.opened(file) as opened:
        model = predict.load(folder)
        lines = Lines(opened)
        rows = reading.read(lines, form or reading.format_of(file), names_for(model.config, text, pair))
        name = "standard input" if file == reading.STANDARD_INPUT else file
        num_bad = num_rows = 0
        with _progress(lines, reading.size(opened)) as advance:
            for one in answered(model, reading.good(rows, name) if strict else rows):
                num_rows += 1
                if isinstance(one, Bad):
                    num_bad += 1
                    sys.stderr.write(f"bitladder: {reading.where(name, one)}\n")
                else:
                    sys.stdout.write(shown.as_json({"line": one[0], **one[1]}) + "\n")
                advance()
    sys.stdout.flush()
    if num_bad:
        sys.stderr.write(f"bitladder: {name}: {num_bad} of {num_rows} rows were bad and have no answer\n")
    return 1 if num_bad else 0


@contextmanager
def _progress(lines: Lines, num_bytes: int | None) -> Iterator[Callable[[], None]]:
    """A bar on stderr where that is a terminal and the answers go elsewhere; of a pipe, the lines read."""
    if not sys.stderr.isatty() or sys.stdout.isatty():
        yield lambda: None
        return
    from rich import progress
    from rich.console import Console

    columns = [progress.BarColumn(), progress.TaskProgressColumn(), progress.TimeRemainingColumn()]
    counted = progress.TextColumn("{task.fields[lines]:,} lines")
    bar = progress.Progress(*columns, counted, console=Console(stderr=True), redirect_stdout=False)
    with bar:
        task = bar.add_task("", total=num_bytes, lines=0)
        yield lambda: bar.update(task, completed=lines.num_bytes, lines=lines.number)
