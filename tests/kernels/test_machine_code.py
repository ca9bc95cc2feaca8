"""Machine code is kept on disk whole or not at all, and whoever finds it there imports no compiler."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from with_kernels import has_kernels

from bitladder.runtime.kernels import machine_code

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where machine code is kept in these tests."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "bitladder" / "kernels" / machine_code.digest()


def test_what_was_kept_is_read(kernels: Path) -> None:
    assert machine_code.read("answer") is None
    machine_code.keep("answer", b"code")
    assert machine_code.read("answer") == b"code"
    machine_code.keep("answer", b"other code")
    assert machine_code.read("answer") == b"other code"
    assert [path.name for path in kernels.iterdir()] == ["answer"], "nothing is left beside it"
    assert kernels.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("size", [0, 10, 32, 35])
def test_a_file_that_is_cut_short_is_none(kernels: Path, size: int) -> None:
    machine_code.keep("answer", b"code")
    found = (kernels / "answer").read_bytes()
    (kernels / "answer").write_bytes(found[:size])
    assert machine_code.read("answer") is None


def test_a_changed_file_is_none(kernels: Path) -> None:
    machine_code.keep("answer", b"code")
    found = (kernels / "answer").read_bytes()
    (kernels / "answer").write_bytes(found[:-1] + b"f")
    assert machine_code.read("answer") is None


def test_without_a_folder_nothing_is_kept_and_nothing_fails(tmp_path: Path) -> None:
    (tmp_path / "bitladder").write_text("no folder")
    machine_code.keep("answer", b"code")
    assert machine_code.read("answer") is None


def test_a_folder_that_others_may_write_is_not_trusted(kernels: Path) -> None:
    machine_code.keep("answer", b"code")
    kernels.chmod(0o777)
    assert machine_code.read("answer") is None


def test_a_user_without_a_home_keeps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", home)
    machine_code.keep("answer", b"code")
    assert machine_code.read("answer") is None


def test_a_folder_that_cannot_be_written_is_read(kernels: Path) -> None:
    machine_code.keep("answer", b"code")
    kernels.chmod(0o500)
    machine_code.keep("other", b"code")
    assert machine_code.read("answer") == b"code"


@pytest.mark.parametrize(("owner", "wanted"), [(0, b"code"), (4242, None)])
def test_a_folder_of_root_is_trusted_and_of_others_not(
    owner: int, wanted: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.getuid() != 0:
        pytest.skip("only root gives files away")
    machine_code.keep("answer", b"code")
    folder = machine_code.folder()
    assert folder is not None
    os.chown(folder, owner, -1)
    monkeypatch.setattr(os, "getuid", lambda: 1717)
    assert machine_code.read("answer") == wanted


def test_a_full_disk_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: str, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    machine_code.keep("answer", b"code")
    assert machine_code.read("answer") is None


def test_what_the_environment_tells_the_compiler_is_in_the_folders_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    usual = machine_code.digest()
    monkeypatch.setenv("NUMBA_NUM_THREADS", "1")
    assert machine_code.digest() == usual
    monkeypatch.setenv("NUMBA_OPT", "0")
    assert machine_code.digest() != usual


@has_kernels
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("os.environ['NUMBA_CPU_NAME'] = 'generic'", "NUMBA_CPU_NAME or NUMBA_CPU_FEATURES is set"),
        ("os.environ['NUMBA_CPU_FEATURES'] = '-avx512f'", "NUMBA_CPU_NAME or NUMBA_CPU_FEATURES is set"),
        ("os.environ['NUMBA_DISABLE_JIT'] = '1'", "TypingError"),
        ("sys.modules['numba.core'] = None", "ModuleNotFoundError"),
    ],
)
def test_where_the_kernels_do_not_compile_the_process_goes_on_and_says_so(change: str, said: str) -> None:
    code = (
        f"import os, sys; {change}\n"
        "from bitladder.runtime import UnsupportedError\n"
        "from bitladder.runtime.kernels import machine_code\n"
        "try: machine_code.answer()\n"
        "except UnsupportedError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.startswith("the kernels do not compile here: "), done.stderr
    assert said in done.stdout


@has_kernels
def test_a_process_that_finds_the_code_imports_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    code = (
        "import sys; from bitladder.runtime.kernels import machine_code; machine_code.answer();"
        "print([name for name in ('numba', 'torch') if name in sys.modules])"
    )
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr
