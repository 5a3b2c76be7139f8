"""The `luthier` command. `commands/command_line.py` lists what it can do; each command is a file beside it."""

import sys

from luthier.commands.command_line import run


def main() -> None:
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
