"""Where the predictors' socket really is: a unix socket's path may have 103 bytes only, a data folder's path more."""

import hashlib
import os
import tempfile
from pathlib import Path

LONGEST = 103  # bytes: macOS allows 104 with the closing NUL, Linux 108


def address_of(socket: Path) -> str:
    """The path to bind or connect to: `socket` itself, or a short stand-in in a private temporary folder.

    Raises PermissionError where that folder belongs to somebody else.
    """
    path = str(socket.absolute())
    if len(os.fsencode(path)) <= LONGEST:
        return path
    name = hashlib.sha256(os.fsencode(os.path.realpath(path))).hexdigest()[:24]
    return str(_private_folder() / f"{name}.sock")


def _private_folder() -> Path:
    folder = Path(tempfile.gettempdir()) / f"luthier-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if folder.is_symlink() or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise PermissionError(f"{folder} must be a folder of this user that nobody else may enter; remove it")
    return folder
