"""One file per command; this is where rooms are put together. Read `command_line` first, then `train` or `serve`."""
