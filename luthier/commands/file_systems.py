"""Which file system a folder is on. SQLite needs locks that network file systems do not keep: data would be lost."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

NETWORK = {
    "nfs", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "afs", "afpfs", "webdav", "davfs", "9p", "ceph", "lustre",
    "glusterfs", "gpfs", "beegfs", "ocfs2", "gfs2", "orangefs", "pvfs2", "moosefs", "fuse.sshfs", "fuse.glusterfs",
    "fuse.s3fs", "fuse.gcsfuse", "fuse.rclone", "fuse.davfs2", "fuse.ceph", "fuse.juicefs", "fuse.mfs",
}  # fmt: skip


def nearest_existing(path: Path) -> Path:
    """The path itself or the nearest folder above it that exists."""
    path = path.absolute()
    return path if path.exists() else nearest_existing(path.parent)


def kind_of(path: Path) -> str:
    """Name of the file system that `path` is or would be on ("ext4", "nfs4"); "" where this cannot be told."""
    place = nearest_existing(path).resolve()
    mounts = _linux_mounts() if sys.platform.startswith("linux") else _bsd_mounts()
    holding = [(mount, kind) for mount, kind in mounts if place.is_relative_to(mount)]
    if not holding:
        return ""
    deepest = max(len(mount.parts) for mount, _ in holding)
    return [kind for mount, kind in holding if len(mount.parts) == deepest][-1]  # the last one mounted there is on top


def _linux_mounts(table: Path = Path("/proc/self/mounts")) -> list[tuple[Path, str]]:
    try:
        lines = os.fsdecode(table.read_bytes()).splitlines()
    except OSError:
        return []
    rows = [line.split(" ") for line in lines]
    return [(Path(_unescaped(row[1])), row[2]) for row in rows if len(row) >= 3]


def _unescaped(text: str) -> str:
    """The kernel writes blanks and the like as three octal digits."""
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text


def _bsd_mounts() -> list[tuple[Path, str]]:
    """macOS: lines such as `/dev/disk3s5 on /System/Volumes/Data (apfs, local, journaled)`."""
    try:
        text = subprocess.run(["/sbin/mount"], capture_output=True, text=True, timeout=10).stdout
    except (OSError, subprocess.TimeoutExpired):
        return []
    rows = [line.partition(" on ")[2].rpartition(" (") for line in text.splitlines()]
    return [(Path(where), details.split(",")[0].strip(") ")) for where, _, details in rows if where]


def is_network(kind: str) -> bool:
    return kind.lower() in NETWORK


def network_refusal(folder: Path, kind: str) -> tuple[str, str]:
    """What is wrong with a data folder on a network file system, and the remedy."""
    return (
        f"{folder.absolute()} is on a network file system ({kind}), where SQLite's locks do not hold",
        "set LUTHIER_DATA_DIR to a folder on a local disk",
    )


def try_writing(folder: Path) -> str:
    """Why nothing can be written into `folder` (or where it will be made); "" where it can."""
    place = nearest_existing(folder)
    try:
        with tempfile.NamedTemporaryFile(dir=place, prefix=".luthier-doctor-") as file:
            file.write(b"x")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return f"cannot write to {place}: {error.strerror or error}"
    return ""
