"""What a text to learn to write from says: conversations, a prompt with its completion, or plain text. Next: `wording`.

A text is one of

    {"messages": [{"role", "content"}, …]}              JSON; roles as `runs/manifest` has them
    ### Instruction: … ### Human: … ### Assistant: …    sections of the guides; Input, Response, … too
    anything else                                       plain text
"""

import json
import re
from collections.abc import Sequence
from typing import Any

from luthier.errors import InvalidBytes, shown
from luthier.runs.manifest import ROLES, Message

PLAIN, COMPLETION = "prompt", "completion"  # roles without a chat's form
ANSWERS = ("assistant", COMPLETION)  # roles of what is learnt
_SECTION = re.compile(r"###[ \t]*(Instruction|Human|Assistant|Input|Response|User|System)[ \t]*:[ \t]*", re.IGNORECASE)
_SECTION_ROLES = {
    "instruction": "system",
    "system": "system",
    "human": "user",
    "user": "user",
    "input": "user",
    "assistant": "assistant",
    "response": "assistant",
}


def messages_in(text: str) -> tuple[Message, ...]:
    """At least one message; plain text is one of the role `completion`. Raises InvalidBytes for a broken conversation.

    An instruction without a human's turn is the user's; one before it is the system's.
    """
    if not text.strip():
        raise InvalidBytes("the text is empty")
    if text.lstrip().startswith("{") and (rows := _json_messages(text)) is not None:
        return _checked(rows)
    return _sections(text) or (Message(COMPLETION, text),)


def is_chat(messages: Sequence[Message]) -> bool:
    return messages[0].role not in (PLAIN, COMPLETION)


def _json_messages(text: str) -> Any:
    """What stands under "messages" in a JSON object, None where the text is none."""
    try:
        row = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return row.get("messages") if isinstance(row, dict) else None


def _checked(rows: Any) -> tuple[Message, ...]:
    if not isinstance(rows, list) or not rows:
        raise InvalidBytes(f"its messages are {shown(rows)}; give a list of at least one message")
    messages = []
    for row in rows:
        role, content = (row.get("role"), row.get("content")) if isinstance(row, dict) else (None, None)
        if role not in ROLES or not isinstance(content, str):
            raise InvalidBytes(f"a message is {shown(row)}; give role, one of {', '.join(ROLES)}, and content, a text")
        messages.append(Message(role, content))
    if len({message.role in (PLAIN, COMPLETION) for message in messages}) > 1:
        raise InvalidBytes(f"its messages mix {PLAIN} and {COMPLETION} with roles of a chat; use the one or the other")
    return tuple(messages)


def _sections(text: str) -> tuple[Message, ...]:
    """() where the text has none. What stands before the first is the system's."""
    marks = list(_SECTION.finditer(text))
    if not marks:
        return ()
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    before = text[: marks[0].start()].strip()
    messages = [Message("system", before)] if before else []
    for mark, end in zip(marks, ends, strict=True):
        content = text[mark.end() : end].strip()
        if content or mark is not marks[-1]:  # an open last section is where the model is to go on
            messages.append(Message(_SECTION_ROLES[mark[1].lower()], content))
    if not any(message.role == "user" for message in messages):
        messages = [Message("user", one.content) if one.role == "system" else one for one in messages]
    return tuple(messages)
