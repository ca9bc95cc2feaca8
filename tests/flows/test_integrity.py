"""`bitladder verify` in a project finds a flipped bit wherever DVC keeps a copy, and the command that it
names puts it right. DVC itself notices none of them."""

import json
import os
import shlex
import shutil
from collections.abc import Callable, Iterator
from contextlib import chdir
from pathlib import Path

import pytest
import s3_server
from dvc.cli import main as dvc
from dvc.repo import Repo

from bitladder import cli, files
from flows import integrity

FOLDERS = {"prepare": "data/demo/plain", "weights": "models/w1", "pack": "packed/w1"}
STAGE = """
  {stage}:
    cmd: mkdir -p {above} && cp -r made/{stage} {folder}
    deps: [made/{stage}]
    outs: [{folder}]
"""
CONFIG = """
[core]
    no_scm = true
    remote = store
['remote "store"']
    url = {url}
    verify = true
"""


def make(root: Path, url: str) -> None:
    with chdir(root):
        Repo.init(no_scm=True).close()
        stages = (STAGE.format(stage=s, folder=f, above=Path(f).parent) for s, f in FOLDERS.items())
        Path("dvc.yaml").write_text("stages:" + "".join(stages))
        for stage in FOLDERS:
            with files.publish(Path("made") / stage) as folder:
                (folder / "one.bin").write_bytes(stage.encode() * 50)
                (folder / "config.json").write_text("{}")
        Path(".dvc/config").write_text(CONFIG.format(url=url))
        with Repo(".") as repo:
            repo.reproduce()
            repo.push()


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_SITE_CACHE_DIR", str(root / "site"))
        patch.setenv("DVC_NO_ANALYTICS", "1")
        (root / "project").mkdir()
        make(root / "project", "../../store")
    return root


@pytest.fixture
def project(made_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project with a cache and a remote; DVC has seen all of its files."""
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    root = shutil.copytree(made_once, tmp_path / "all") / "project"
    with chdir(root):
        yield root


Verify = Callable[..., dict[str, list[dict[str, str]]]]


@pytest.fixture
def verify(capsys: pytest.CaptureFixture[str]) -> Verify:
    def run(
        *, deep: bool = False, cache: bool = False, remote: bool = False
    ) -> dict[str, list[dict[str, str]]]:
        capsys.readouterr()
        code = integrity.main(deep=deep, cache=cache, remote=remote, as_json=True)
        found = {
            where: one["damage"]
            for where, one in json.loads(capsys.readouterr().out).items()
            if one["damage"]
        }
        assert code == (1 if found else 0)
        return found

    return run


def flip(path: Path) -> None:
    """One bit, and DVC sees the size, the time and the mode that it knows."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(before.st_mode)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def object_of(store: Path, content: bytes) -> Path:
    return next(path for path in store.rglob("*") if path.is_file() and path.read_bytes() == content)


def do(remedy: str) -> None:
    """As a person would who copies the line."""
    for command in remedy.partition("  #")[0].split(" && "):
        name, *arguments = shlex.split(command)
        if name == "dvc":
            assert dvc([*arguments, "--quiet"]) == 0, command
        elif name == "mv":
            shutil.move(*arguments)
        else:
            assert (name, arguments[0]) == ("rm", "-f"), command
            for path in arguments[1:]:
                Path(path).unlink(missing_ok=True)


def test_all_is_as_it_was_written(project: Path, verify: Verify, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(deep=True, cache=True, remote=True) == {}
    integrity.main(deep=True, cache=True, remote=True, as_json=False)
    assert capsys.readouterr().out.splitlines() == [
        "folders, by their manifests: 3 hashed, 0 damaged",
        "outputs, by dvc.lock: 3 hashed, 0 damaged",
        "DVC's cache: 10 hashed, 0 damaged",
        "DVC's remote: 10 hashed, 0 damaged",
    ]


@pytest.mark.parametrize(("stage", "folder"), FOLDERS.items(), ids=["data", "model", "packed"])
def test_a_bit_of_an_output(project: Path, verify: Verify, stage: str, folder: str) -> None:
    with Repo(".") as repo:
        assert repo.status() == {}
        flip(project / folder / "one.bin")
        assert repo.status() == {}  # what DVC thinks of it
    [damage] = verify()["folders, by their manifests"]
    assert damage["place"] == f"{folder}/one.bin"
    assert damage["what"].startswith("sha256 ")
    assert damage["remedy"] == f"mv {folder} {folder}.damaged && dvc checkout {stage}"
    do(damage["remedy"])
    assert verify(deep=True) == {}
    assert Path(f"{folder}.damaged").exists()


def test_a_folder_written_anew_with_its_manifest_is_found_deep(project: Path, verify: Verify) -> None:
    with files.publish(Path("models/w1")) as folder:
        (folder / "one.bin").write_bytes(b"somebody else's")
    assert verify() == {}
    [damage] = verify(deep=True)["outputs, by dvc.lock"]
    assert (damage["place"], damage["what"]) == ("models/w1", "not what dvc.lock has")
    do(damage["remedy"])
    assert verify(deep=True) == {}


def test_a_bit_of_the_cache(project: Path, verify: Verify) -> None:
    flip(object_of(project / ".dvc/cache", b"pack" * 50))
    assert verify(deep=True) == {}
    [damage] = verify(cache=True)["DVC's cache"]
    assert damage["place"] == "DVC's cache, of packed/w1"
    assert " has the md5 " in damage["what"]
    do(damage["remedy"])
    assert verify(cache=True) == {}


def test_an_object_that_the_cache_has_lost(project: Path, verify: Verify) -> None:
    object_of(project / ".dvc/cache", b"pack" * 50).unlink()
    [damage] = verify(cache=True)["DVC's cache"]
    assert damage["what"].endswith("is missing")
    do(damage["remedy"])
    assert verify(cache=True) == {}


@pytest.mark.parametrize("what", ["a file", "the listing"])
def test_a_bit_of_the_remote(project: Path, verify: Verify, what: str) -> None:
    store = project.parent / "store"
    flip(object_of(store, b"pack" * 50) if what == "a file" else next(store.rglob("*.dir")))
    assert verify(cache=True) == {}
    [damage] = verify(remote=True)["DVC's remote"]
    assert dvc(["push", "--quiet"]) == 0  # it says all is up to date
    assert verify(remote=True)
    do(damage["remedy"])
    assert verify(remote=True) == {}


def test_with_here_and_the_cache_damaged_the_remote_helps(project: Path, verify: Verify) -> None:
    flip(Path("packed/w1/one.bin"))
    flip(object_of(project / ".dvc/cache", b"pack" * 50))
    [damage] = verify(remote=True)["folders, by their manifests"]
    assert " && dvc pull pack" in damage["remedy"]
    do(damage["remedy"])
    assert verify(deep=True, cache=True, remote=True) == {}


def test_with_every_copy_damaged_it_is_made_anew(project: Path, verify: Verify) -> None:
    flip(Path("packed/w1/one.bin"))
    for store in (project / ".dvc/cache", project.parent / "store"):
        flip(object_of(store, b"pack" * 50))
    found = verify(cache=True, remote=True)
    assert list(found) == ["folders, by their manifests", "DVC's cache", "DVC's remote"]
    do(found["folders, by their manifests"][0]["remedy"])
    found = verify(deep=True, cache=True, remote=True)
    assert list(found) == ["DVC's remote"]
    do(found["DVC's remote"][0]["remedy"])
    assert verify(deep=True, cache=True, remote=True) == {}


def test_what_nobody_made_yet_is_no_damage(project: Path, verify: Verify) -> None:
    shutil.rmtree("packed/w1")
    assert verify(deep=True) == {}


def test_without_dvc_or_a_remote_it_says_what_would_do(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    with chdir(tmp_path):
        with pytest.raises(integrity.NoProjectError, match="bitladder verify DIR"):
            integrity.main(deep=False, cache=False, remote=False, as_json=False)
        Repo.init(no_scm=True).close()
        with pytest.raises(integrity.NoProjectError, match="dvc remote add"):
            integrity.main(deep=False, cache=False, remote=True, as_json=False)


def test_a_folder_has_no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for arguments in (["."], []):
        monkeypatch.setattr("sys.argv", ["bitladder", "verify", *arguments, "--cache"])
        monkeypatch.setattr(cli, "verify_project", None)
        with chdir(tmp_path), pytest.raises(SystemExit) as caught:
            cli.main()
        assert caught.value.code == 2


@pytest.mark.slow
def test_a_bit_in_s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verify: Verify) -> None:
    import boto3

    for name, value in s3_server.CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    with s3_server.started("bucket") as url, chdir(tmp_path):
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        make(tmp_path, "s3://bucket/store")
        assert verify(remote=True) == {}
        client = boto3.client("s3")
        keys = [each["Key"] for each in client.list_objects_v2(Bucket="bucket")["Contents"]]
        key = next(
            key for key in keys if client.get_object(Bucket="bucket", Key=key)["Body"].read() == b"pack" * 50
        )
        client.put_object(Bucket="bucket", Key=key, Body=b"pakk" + b"pack" * 49)
        [damage] = verify(remote=True)["DVC's remote"]
        assert key in damage["remedy"]
        for word in shlex.split(damage["remedy"].partition("delete ")[2].partition(" there, ")[0]):
            client.delete_object(Bucket="bucket", Key=word.removeprefix("bucket/"))
        do(damage["remedy"].partition("then: ")[2])
        assert verify(remote=True) == {}
