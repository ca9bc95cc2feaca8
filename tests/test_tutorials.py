"""Every command of a tutorial works: the fenced commands of each page are run, in order, as they stand there.

A block that begins with ```sh or ```python is run; all other blocks show what came out once.
"""

import contextlib
import os
import re
import runpy
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LONGEST_S = 3600


def script(page: str) -> str:
    """The page's blocks as one shell script; Python goes to an interpreter of its own."""
    return "\n".join(
        code if kind == "sh" else f"python - <<'END_OF_BLOCK'\n{code}END_OF_BLOCK\n"
        for kind, code in BLOCK.findall(page)
    )


def test_blocks_are_taken_as_they_stand_and_what_they_print_is_not() -> None:
    page = "Text\n\n```sh\nls a\n```\n\n```\na\n```\n\n```python\nprint('$x')\n```\n"
    assert script(page) == "ls a\n\npython - <<'END_OF_BLOCK'\nprint('$x')\nEND_OF_BLOCK\n"


def test_there_are_tutorials() -> None:
    assert {page.stem for page in PAGES} >= {"csv", "own-teacher"}
    assert all("bitladder" in script(page.read_text(encoding="utf-8")) for page in PAGES)


def test_the_examples_are_what_their_script_makes(tmp_path: Path) -> None:
    made = runpy.run_path(str(ROOT / "examples" / "make.py"))
    made["write"](tmp_path)
    for name in made["FILES"]:
        assert (tmp_path / name).read_bytes() == (ROOT / "examples" / name).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_works(page: Path, tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    variables = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(ROOT),
        "DVC_SITE_CACHE_DIR": str(tmp_path / "site"),
    }
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", script(page.read_text(encoding="utf-8"))],
            cwd=tmp_path,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = process.wait(LONGEST_S)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # a server that a failed page has left
    assert code == 0, log.read_text(encoding="utf-8", errors="replace")[-4000:]
