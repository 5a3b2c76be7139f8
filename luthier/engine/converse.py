"""A text generator that is talked to: what it writes comes as it is written. `python -m luthier.engine.converse RUN
CHECKPOINT` answers JSON lines on its pipes.

First out: {"ready": true, "chats": whether it has learnt conversations} or {"failed": details}. Then for each line in,
{"text": …, "options": {…}}, the text as `generation/conversations` reads it: {"piece": …} any number of times, and last
{"tokens": how many, "finish": "end" | "stop" | "length", "seconds": s} or {"error": details}.

Next: `generation/writing`.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from luthier.engine.devices import choose
from luthier.engine.evaluate import load_served
from luthier.engine.generation.writing import Text, fitting, tokens
from luthier.engine.recipes.text_generation import TextGeneration
from luthier.errors import InvalidRequest, LuthierError
from luthier.runs.run import RunFolder


class Conversation:
    """A checkpoint in memory. Raises CorruptFile where it is damaged, InvalidRequest where it writes no texts."""

    def __init__(self, run: RunFolder, checkpoint: Path) -> None:
        spec = run.spec()
        self.device = choose(spec.device, spec.threads)
        recipe, network = load_served(spec, checkpoint, self.device)
        if not isinstance(recipe, TextGeneration):
            raise InvalidRequest(f"the model is a {spec.model_type}; only a text-to-text model can be talked to")
        self.recipe: TextGeneration = recipe
        self.network: Any = network

    @property
    def chats(self) -> bool:
        return self.recipe.chats(self.network)

    def answer(self, text: str, options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """The lines that the module's docstring describes."""
        began = time.monotonic()
        encoded = self.recipe.encode_prompt(text.encode(), options)
        prompts, wished = self.recipe.asked(self.network, self.recipe.collate([encoded]))
        chosen = fitting(self.network, prompts[0], wished, self.recipe.most_tokens)
        written = Text(self.recipe.wording, chosen)
        with self.device.autocast():
            for (token,) in tokens(self.network, prompts, chosen):
                written.add(token)
                if piece := written.fresh():
                    yield {"piece": piece}
                if written.finish:
                    break
        written.finish = written.finish or "length"
        if piece := written.fresh():
            yield {"piece": piece}
        yield {"tokens": len(written.ids), "finish": written.finish, "seconds": time.monotonic() - began}


def serve(run: RunFolder, checkpoint: Path, lines: TextIO, out: TextIO) -> int:
    """Answers until the other side closes; the exit code."""
    try:
        conversation = Conversation(run, checkpoint)
    except Exception as error:
        _say(out, {"failed": str(error) or type(error).__name__})
        return 1
    _say(out, {"ready": True, "chats": conversation.chats})
    for line in lines:
        asked = json.loads(line)
        try:
            for said in conversation.answer(asked["text"], asked.get("options", {})):
                _say(out, said)
        except LuthierError as error:
            _say(out, {"error": str(error)})
        except (RuntimeError, IndexError) as error:  # of torch: out of memory and the like; the process lives on
            _say(out, {"error": f"{type(error).__name__}: {error}"})
    return 0


def _say(out: TextIO, row: dict[str, Any]) -> None:
    out.write(json.dumps(row) + "\n")
    out.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description="Talk with a text generator on standard input and output.")
    parser.add_argument("run", type=Path)
    parser.add_argument("checkpoint", type=Path)
    given = parser.parse_args()
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints must not mix with the answers
    code = serve(RunFolder(given.run), given.checkpoint, sys.stdin, out)
    os._exit(code)


if __name__ == "__main__":
    main()
