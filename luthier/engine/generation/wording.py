"""How conversations become tokens, and which of these are learnt. Next: `conversations`, whose messages these are.

A base model for chats brings a template of its own (Jinja, in its tokenizer's files, kept in the run's assets); for
others it is SECTIONS. Answers are tokenised apart from what comes before them, as they are when the model writes.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer

from luthier.engine.generation.conversations import ANSWERS, is_chat, messages_in
from luthier.engine.language_models import CONFIG_FILE, TOKENIZER_FILE
from luthier.errors import CorruptFile, InvalidBytes, MissingWeights
from luthier.runs.manifest import Message

SECTIONS = (
    "{% for message in messages %}"
    "### {{ {'system': 'Instruction', 'user': 'Human', 'assistant': 'Assistant', 'tool': 'Tool'}[message.role] }}: "
    "{{ message.content }}{{ eos_token if message.role == 'assistant' else '' }}\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}### Assistant:{% endif %}"
)
ANY_WORD = "word"
SETTINGS_FILE, TEMPLATE_FILE = "tokenizer_config.json", "chat_template.jinja"
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Worded:
    """A training text. `answer` is that of an encoder-decoder, whose `tokens` are what it is asked."""

    tokens: Array  # int32 (T,)
    learned: Array  # bool (T,)
    answer: Array  # int32 (A,); empty for a decoder
    lost: int  # tokens that were cut off
    chat: bool


class Wording:
    """Raises MissingWeights where a file of the base model is not there, CorruptFile where one is damaged.

    `limit`: most tokens of one text to learn from, and of what an encoder reads. `cut_left`: of a longer one the end
    is kept. `sections`: the base model's own template is left aside.
    """

    def __init__(self, assets: Path, limit: int, *, asks: bool, cut_left: bool = False, sections: bool = False) -> None:
        self.limit = limit
        self._asks = asks  # an encoder-decoder is asked and answers; a decoder goes on
        self._cut_left = cut_left
        self._fast = _tokenizer(assets / TOKENIZER_FILE)
        settings = _json(assets / SETTINGS_FILE)
        self.ends = _ends(self._fast, settings, _json(assets / CONFIG_FILE))
        named = {f"{name}_token": _token(settings, name) for name in ("bos", "eos", "pad", "unk")}
        named["eos_token"] = named["eos_token"] or self._fast.id_to_token(self.ends[0])
        own = "" if sections else _own_template(assets, settings)
        self._has_own = bool(own)
        self._source = own or SECTIONS
        self._template = _compiled(self._source, named)
        self.vocabulary: int = self._fast.get_vocab_size()

    # -- to learn from -------------------------------------------------------------------------------------------------

    def example(self, text: str) -> Worded:
        """Raises InvalidBytes where there is nothing to learn from."""
        messages = messages_in(text)
        if not any(message.role in ANSWERS for message in messages):
            raise InvalidBytes("there is no answer to learn from: give an assistant's turn or a completion")
        return self._asked(messages) if self._asks else self._gone_on(messages)

    def _gone_on(self, messages: Sequence[Message]) -> Worded:
        pieces = list(self._chat(messages) if is_chat(messages) else self._plain(messages))
        tokens = np.array([token for ids, _ in pieces for token in ids], dtype=np.int32)
        learned = np.array([wanted for ids, wanted in pieces for _ in ids], dtype=bool)
        kept = slice(-self.limit, None) if self._cut_left else slice(self.limit)
        lost = max(0, len(tokens) - self.limit)
        tokens, learned = tokens[kept], learned[kept]
        if not learned[1:].any():
            raise InvalidBytes(
                f"it has {len(tokens) + lost} tokens, of which {self.limit} are read, and none of those is of an "
                "answer; raise max_tokens or shorten what comes before the answer"
            )
        return Worded(tokens, learned, np.empty(0, dtype=np.int32), lost, is_chat(messages))

    def _asked(self, messages: Sequence[Message]) -> Worded:
        place = max(number for number, message in enumerate(messages) if message.role in ANSWERS)
        if place == 0:
            raise InvalidBytes(
                "an encoder-decoder learns answers to something: give a prompt, or a human's turn, before"
            )
        asked, answer = self._question(messages[:place]), self._encode(messages[place].content)
        lost = max(0, len(asked) - self.limit) + max(0, len(answer) + 1 - self.limit)
        answer = [*answer[: self.limit - 1], self.ends[0]]
        tokens = np.array(self._shortened(asked), dtype=np.int32)
        none = np.zeros(len(tokens), dtype=bool)
        return Worded(tokens, none, np.array(answer, dtype=np.int32), lost, is_chat(messages))

    def _plain(self, messages: Sequence[Message]) -> Iterator[tuple[list[int], bool]]:
        """Texts as they stand, the first with what the tokenizer puts at a beginning, answers with the end."""
        for number, message in enumerate(messages):
            learned = message.role in ANSWERS
            ids = self._begun(message.content) if number == 0 else self._encode(message.content)
            yield [*ids, self.ends[0]] if learned else ids, learned

    def _chat(self, messages: Sequence[Message]) -> Iterator[tuple[list[int], bool]]:
        """Up to the last answer; it alone is learnt where the template writes earlier turns anew as a chat goes on."""
        places = [number for number, message in enumerate(messages) if message.role in ANSWERS]
        pieces = self._pieces(messages, places) or self._pieces(messages, places[-1:])
        if not pieces:
            raise CorruptFile(
                "the chat template of the base model does not begin an answer as it asks for one; "
                "set chat_template to sections"
            )
        for number, (text, learned) in enumerate(pieces):
            ids = self._encode(text) if number or self._has_own else self._begun(text)
            yield self._closed(ids, number == len(pieces) - 1) if learned else ids, learned

    def _closed(self, ids: list[int], last: bool) -> list[int]:
        """An answer has an end, and nothing comes after that of the last one."""
        place = next((place for place, token in enumerate(ids) if token in self.ends), None)
        if place is None:
            return [*ids, self.ends[0]]
        return ids[: place + 1] if last else ids

    def _pieces(self, messages: Sequence[Message], places: Sequence[int]) -> list[tuple[str, bool]]:
        """(text, is an answer) in turn; [] where the template does not only add to what it wrote before."""
        pieces, done = [], ""
        for place in places:
            before, whole = self._rendered(messages[:place], ask=True), self._rendered(messages[: place + 1], ask=False)
            if not (before.startswith(done) and whole.startswith(before)):
                return []
            pieces += [(before[len(done) :], False), (whole[len(before) :], True)]
            done = whole
        return pieces

    # -- to be answered ------------------------------------------------------------------------------------------------

    def prompt(self, text: str, *, chat: bool) -> list[int]:
        """Tokens to go on from, all of them, or to answer, of these `limit`. `chat`: plain text is a human's turn.

        Raises InvalidBytes for no text.
        """
        messages = messages_in(text)
        if not is_chat(messages):
            plain = "".join(message.content for message in messages)
            if not chat:
                return self._shortened(self._encode(plain, specials=True)) if self._asks else self._begun(plain)
            messages = (Message("user", plain),)
        return self._shortened(self._question(messages)) if self._asks else self._asked_for(messages)

    def _asked_for(self, messages: Sequence[Message]) -> list[int]:
        """An answer that the prompt has begun is gone on with."""
        begun = messages[-1].content if messages[-1].role == "assistant" else ""
        text = self._rendered(messages[:-1] if begun else messages, ask=True) + begun
        return self._encode(text) if self._has_own else self._begun(text)

    def _question(self, messages: Sequence[Message]) -> list[int]:
        """What an encoder reads: one message as it stands, several as a chat."""
        alone = len(messages) == 1 or not is_chat(messages)
        text = "\n".join(m.content for m in messages) if alone else self._rendered(messages, ask=True)
        return self._encode(text, specials=True)

    def _shortened(self, ids: list[int]) -> list[int]:
        """What an encoder reads of a text, whose last token is the tokenizer's own."""
        if len(ids) <= self.limit:
            return ids
        return ids[-self.limit :] if self._cut_left else [*ids[: self.limit - 1], ids[-1]]

    # -- tokens and text -----------------------------------------------------------------------------------------------

    def text(self, ids: Sequence[int]) -> str:
        """Without special tokens; bytes that are no whole character yet are U+FFFD."""
        written: str = self._fast.decode(list(ids), skip_special_tokens=True)
        return written

    def _encode(self, text: str, *, specials: bool = False) -> list[int]:
        ids: list[int] = self._fast.encode(text, add_special_tokens=specials).ids
        return ids

    def _begun(self, text: str) -> list[int]:
        """With what the tokenizer puts at the beginning of a text, and without what it puts at its end."""
        ids = self._encode(text, specials=True)
        return ids[:-1] if ids and ids[-1] in self.ends and not text.endswith(self.ending) else ids

    @property
    def ending(self) -> str:
        """The token that ends a text, as a text."""
        return str(self._fast.id_to_token(self.ends[0]))

    def whole_template(self) -> str:
        """The chat template for who adds no special tokens to what it renders, as transformers does not."""
        if self._has_own or self._asks:
            return self._source
        begun = self._begun(ANY_WORD)
        first = [self._fast.id_to_token(id_) for id_ in begun[: len(begun) - len(self._encode(ANY_WORD))]]
        return "".join(f"{{{{ {json.dumps(token, ensure_ascii=False)} }}}}" for token in first) + self._source

    def _rendered(self, messages: Sequence[Message], *, ask: bool) -> str:
        rows = [{"role": message.role, "content": message.content} for message in messages]
        try:
            text: str = self._template.render(messages=rows, add_generation_prompt=ask)
        except (TemplateError, TypeError, KeyError) as error:
            raise InvalidBytes(f"the chat template does not take this conversation: {error}") from None
        return text


def _tokenizer(file: Path) -> Any:
    if not file.is_file():
        raise MissingWeights(
            f"{file} is not there; add the model as the folder that holds {TOKENIZER_FILE} beside its safetensors "
            "file: luthier weights add NAME FOLDER"
        )
    try:
        fast = Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises a bare Exception
        raise CorruptFile(f"{file} is not a readable tokenizer: {error}") from error
    fast.no_padding()
    fast.no_truncation()
    return fast


def _json(file: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    except ValueError as error:
        raise CorruptFile(f"{file} is not readable as JSON: {error}") from error
    return found


def _token(settings: dict[str, Any], name: str) -> str:
    """A special token, which stands there as text or as an object."""
    found = settings.get(f"{name}_token") or ""
    return str(found.get("content", "")) if isinstance(found, dict) else str(found)


def _ends(fast: Any, settings: dict[str, Any], config: dict[str, Any]) -> list[int]:
    """Ids of tokens that end a text, the tokenizer's own first; raises CorruptFile where the base model names none."""
    named = fast.token_to_id(_token(settings, "eos")) if _token(settings, "eos") else None
    listed = config.get("eos_token_id")
    ids = [named, *(listed if isinstance(listed, list) else [listed])]
    found = list(dict.fromkeys(int(id_) for id_ in ids if id_ is not None))
    if not found:
        raise CorruptFile(
            f"the base model names no token that ends a text: {SETTINGS_FILE} has no eos_token and {CONFIG_FILE} no "
            "eos_token_id; add the model with both files"
        )
    return found


def _own_template(assets: Path, settings: dict[str, Any]) -> str:
    """The base model's, "" for none; of several the one called default."""
    if (assets / TEMPLATE_FILE).is_file():
        return (assets / TEMPLATE_FILE).read_text(encoding="utf-8")
    found = settings.get("chat_template") or ""
    if isinstance(found, list):
        found = next((one["template"] for one in found if one.get("name") == "default"), "")
    return str(found)


def _compiled(template: str, named: dict[str, str]) -> Any:
    """In a sandbox: a template can read what it is given and nothing else."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.globals.update({**named, "raise_exception": _refuse})
    environment.filters["tojson"] = _to_json
    try:
        return environment.from_string(template)
    except TemplateError as error:
        raise CorruptFile(f"the chat template of the base model cannot be read: {error}") from error


def _refuse(message: str) -> None:
    raise TemplateError(message)


def _to_json(value: Any, indent: int | None = None, **_: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)
