"""A PostgreSQL server of a test's own, on loopback; none where Debian's package is not installed."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def programs() -> Path | None:
    """The folder of initdb and pg_ctl, which Debian keeps out of the PATH."""
    found = shutil.which("initdb")
    places = [Path(found).resolve().parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return places[-1] if places else None


@contextmanager
def started(*databases: str) -> Iterator[str | None]:
    """`user@host:port` of a server with these empty databases; None where there is no PostgreSQL."""
    place = programs()
    if place is None:
        yield None
        return
    home = Path(tempfile.mkdtemp(prefix="postgres-"))  # its socket's path may have 107 letters at most
    as_user: list[str] = []
    if os.geteuid() == 0:  # it refuses to run as root
        shutil.chown(home, "postgres")
        as_user = ["runuser", "-u", "postgres", "--"]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def call(program: str, *arguments: str) -> None:
        command = [*as_user, str(place / program), *arguments]
        subprocess.run(command, check=True, cwd=home, stdout=subprocess.DEVNULL)

    data = str(home / "data")
    call("initdb", "--pgdata", data, "--username", "test", "--auth", "trust", "--no-sync")
    options = f"-c listen_addresses=127.0.0.1 -p {port} -k {home} -c fsync=off"
    call("pg_ctl", "start", "--pgdata", data, "--wait", "--log", str(home / "log"), "--options", options)
    try:
        for name in databases:
            call("createdb", "--host", "127.0.0.1", "--port", str(port), "--username", "test", name)
        yield f"test@127.0.0.1:{port}"
    finally:
        call("pg_ctl", "stop", "--pgdata", data, "--mode", "immediate")
        shutil.rmtree(home, ignore_errors=True)
