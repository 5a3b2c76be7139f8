"""One module per layout: `write(folder, examples, …)` writes usable examples so that the reader finds the same again.

An example that is invalid has nothing to write and is left out. What a layout cannot hold is refused, never dropped.
"""
