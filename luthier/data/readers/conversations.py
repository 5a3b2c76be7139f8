"""Texts to learn to write from: messages, sharegpt, alpaca and completion rows, all as messages. Next: `jsonl`."""

from collections.abc import Mapping
from typing import Any

from luthier.errors import InvalidRequest, shown
from luthier.runs.manifest import CHAT_ROLES, Message

_SHAREGPT = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "chatgpt": "assistant",
    "system": "system",
    "tool": "tool",
}


def messages_of(row: Mapping[str, Any]) -> tuple[Message, ...]:
    """The conversation in a row, () where it holds none of the forms. Raises InvalidRequest for a broken one."""
    if "messages" in row:
        return tuple(_turn(turn, "role", "content") for turn in _turns(row, "messages"))
    if "conversations" in row:
        return tuple(_turn(turn, "from", "value") for turn in _turns(row, "conversations"))
    if "instruction" in row and "output" in row:
        return _alpaca(row)
    if "prompt" in row and "completion" in row:
        return (
            Message("prompt", _text(row["prompt"], "prompt")),
            Message("completion", _text(row["completion"], "completion")),
        )
    return ()


def _turns(row: Mapping[str, Any], name: str) -> list[Any]:
    turns = row[name]
    if not isinstance(turns, list) or not turns:
        raise InvalidRequest(f"its {name} is {shown(turns)}; give a list of at least one turn")
    return turns


def _turn(turn: Any, role: str, content: str) -> Message:
    if not isinstance(turn, dict) or role not in turn or content not in turn:
        raise InvalidRequest(f"a turn is {shown(turn)}; give an object with {role} and {content}")
    named = turn[role]
    known = {name: name for name in CHAT_ROLES} if role == "role" else _SHAREGPT
    if not isinstance(named, str) or named not in known:
        raise InvalidRequest(f"the {role} of a turn is {shown(named)}; give one of {', '.join(known)}")
    return Message(known[named], _text(turn[content], content))


def _alpaca(row: Mapping[str, Any]) -> tuple[Message, ...]:
    """The instruction and, below it after an empty line, its input, as the user's turn."""
    asked, given = _text(row["instruction"], "instruction"), _text(row.get("input") or "", "input")
    turns = [Message("system", _text(row["system"], "system"))] if row.get("system") else []
    question = f"{asked}\n\n{given}" if given else asked
    return (*turns, Message("user", question), Message("assistant", _text(row["output"], "output")))


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise InvalidRequest(f"its {name} is {shown(value)}; give text in quotes (tool calls are not read)")
    return value
