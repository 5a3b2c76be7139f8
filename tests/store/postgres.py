"""A PostgreSQL server of the tests' own, where the machine has its programs and psycopg is installed."""

import contextlib
import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

HERE = bool(shutil.which("initdb") and shutil.which("pg_ctl") and importlib.util.find_spec("psycopg"))


@contextlib.contextmanager
def server() -> Iterator[str]:
    """The URL of a running server that is removed afterwards; it listens on a unix socket alone."""
    user = "nobody" if os.geteuid() == 0 else None  # it refuses to run as root
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    if user:
        os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "UTC"}

    def call(*command: str) -> None:
        subprocess.run(command, check=True, user=user, env=environment, cwd=folder, stdout=subprocess.DEVNULL)

    options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
    call("initdb", "-D", f"{folder}/data", "-A", "trust", "-U", "luthier", "-E", "UTF8")
    call("pg_ctl", "-D", f"{folder}/data", "-w", "-l", f"{folder}/log", "-o", options, "start")
    try:
        yield f"postgresql+psycopg://luthier@/postgres?host={folder}"
    finally:
        call("pg_ctl", "-D", f"{folder}/data", "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)
