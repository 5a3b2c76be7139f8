"""Bodies that are no JSON, for programs such as curl: files of a form, and the raw bytes of a part. Next: `rest`.

    curl -F image=@cat.jpg -F concepts=cat -F dataset_ids=pets …/inputs            a file is an input
    curl -T part.bin -H 'Content-Type: application/octet-stream' '…/content_parts?range_start=0'

Format of forms: RFC 7578.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from clarifai_grpc.grpc.api import resources_pb2
from google.protobuf.message import Message

from luthier.api import json_reader, json_text
from luthier.errors import BadRequestFormat, InvalidRequest, LuthierError, shown
from luthier.rpcs.context import MAX_BATCH

MOST_PARTS = 1000
_LONGEST_HEAD = 8 * 1024  # bytes of the headers of a part
_LONGEST_WORD = 1024 * 1024  # bytes of a field that is no file
_LONGEST_WORDS = 16 * 1024 * 1024  # bytes of all such fields times the files of which they are true
_BOUNDARY = re.compile(r'boundary=(?:"([^"]{1,70})"|([^\s;,"]{1,70}))', re.IGNORECASE)
_PARAMETER = re.compile(r'\b(name|filename)="((?:[^"\\]|\\.)*)"')

FILES = ("image", "text", "file")
WORDS = ("id", "concepts", "negative_concepts", "dataset_ids", "metadata", "input", "inputs_add_job_id")


@dataclass(frozen=True)
class Part:
    name: str
    filename: str | None  # None for a plain field
    kind: str  # Content-Type
    data: bytes

    @property
    def text(self) -> str:
        try:
            return self.data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise BadRequestFormat(f"the field {shown(self.name)} is not UTF-8 at byte {error.start}") from None


def read(method: str, content_type: str, query: bytes, body: bytes, message: Message) -> bool:
    """Fills the request of a call that takes such a body; False where the body is JSON, whatever it is called.

    Raises BadRequestFormat for a form to a call that takes none, or one that is damaged.
    """
    kind = _kind(content_type)
    reader = _READERS.get((method, kind))
    if reader is None and kind == _FORM:
        raise BadRequestFormat(f"forms are read by PostInputs only; send JSON to {method}")
    if reader is not None:
        reader(content_type, query, body, message)
    return reader is not None


def _kind(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _content_part(content_type: str, query: bytes, body: bytes, message: Any) -> None:
    """The body is the bytes of one part; `range_start` stands in the query, 0 where it does not."""
    given = parse_qs(query.decode("latin-1")).get("range_start", ["0"])[-1]
    if not re.fullmatch(r"[0-9]{1,19}", given):
        raise BadRequestFormat(f"range_start is '{shown(given)}'; give the number of the first byte")
    message.content_parts.add(range_start=int(given), data=body)


# -- forms -------------------------------------------------------------------------------------------------------------


def _inputs(content_type: str, query: bytes, body: bytes, message: Any) -> None:
    """Each file is an input; the other fields are true of every one of them.

    `id` may be given once per file, in order; `input` is an Input as JSON that every file is laid over.
    """
    files: list[Part] = []
    words: dict[str, list[str]] = {}
    for part in parts(content_type, body):
        if part.filename is not None or part.name in ("image", "text"):
            files.append(part)
        else:
            words.setdefault(part.name, []).append(_word(part))
    if not files:
        raise InvalidRequest("the form holds no file; give image=@FILE or text=@FILE")
    if len(files) > MAX_BATCH:
        raise InvalidRequest(f"the form holds {len(files)} files; send 1 to {MAX_BATCH} in one call")
    ids = words.pop("id", [])
    if len(ids) not in (0, len(files)):
        raise InvalidRequest(f"id is given {len(ids)} times for {len(files)} files; give one for each, or none")
    message.inputs_add_job_id = "".join(words.pop("inputs_add_job_id", [])[-1:])
    common = _common(words, len(files))
    for number, file in enumerate(files):
        made = message.inputs.add()
        made.CopyFrom(common)
        _content(file, made.data)
        made.id = ids[number] if ids else made.id


def _word(part: Part) -> str:
    if part.name not in WORDS:
        known = ", ".join((*FILES, *WORDS))
        raise InvalidRequest(f"the field '{shown(part.name)}' is not known; a form has {known}")
    if len(part.data) > _LONGEST_WORD:
        raise InvalidRequest(f"the field {part.name} has {len(part.data)} bytes; at most {_LONGEST_WORD}")
    return part.text


def _common(words: Mapping[str, list[str]], files: int) -> resources_pb2.Input:
    """What every file is laid over."""
    size = sum(len(text) for texts in words.values() for text in texts)
    if size * files > _LONGEST_WORDS:
        most = _LONGEST_WORDS // files
        raise InvalidRequest(f"the fields beside the {files} files have {size} characters; at most {most} for so many")
    made = resources_pb2.Input()
    for text in words.get("input", []):
        json_reader.read(_json("input", text), made)
    for text in words.get("metadata", []):
        json_reader.read({"metadata": _json("metadata", text)}, made.data)
    for value, name in ((1.0, "concepts"), (0.0, "negative_concepts")):
        for concept in words.get(name, []):
            made.data.concepts.add(id=concept, value=value)
    made.dataset_ids.extend(words.get("dataset_ids", []))
    return made


def _json(name: str, text: str) -> Any:
    try:
        return json_text.parse(text.encode())
    except LuthierError as error:
        raise BadRequestFormat(f"the field {name}: {error.details}") from None


def _content(file: Part, data: Any) -> None:
    is_text = file.name == "text" or (file.name == "file" and _kind(file.kind).startswith("text/"))
    if file.name not in FILES:
        raise InvalidRequest(f"the file's field is called '{shown(file.name)}'; call it {', '.join(FILES)}")
    if is_text:
        data.text.raw = file.text.removeprefix("\ufeff")
    else:
        data.image.base64 = file.data
    if file.filename and "filename" not in data.metadata:
        data.metadata["filename"] = file.filename


def parts(content_type: str, body: bytes) -> list[Part]:
    """Raises BadRequestFormat for a body that is no form, or one of more than MOST_PARTS parts."""
    found = _BOUNDARY.search(content_type)
    if not found:
        raise BadRequestFormat("the Content-Type names no boundary; let the client make the form's header")
    boundary = b"--" + (found.group(1) or found.group(2)).encode("latin-1", "replace")
    return list(_parts(body, boundary))


def _parts(body: bytes, boundary: bytes) -> Iterator[Part]:
    if not body.startswith(boundary):
        raise BadRequestFormat("the form does not begin with its boundary")
    at, count = len(boundary), 0
    while not body.startswith(b"--", at):
        if not body.startswith(b"\r\n", at):
            raise BadRequestFormat(f"the form is damaged at byte {at}: behind a boundary stands neither CR LF nor --")
        end = body.find(b"\r\n" + boundary, at)
        if end < 0:
            raise BadRequestFormat(f"the form ends early, at byte {len(body)}: its last boundary is missing")
        count += 1
        if count > MOST_PARTS:
            raise BadRequestFormat(f"the form has more than {MOST_PARTS} parts; send fewer in one call")
        yield _part(body, at + 2, end)
        at = end + 2 + len(boundary)


def _part(body: bytes, start: int, end: int) -> Part:
    blank = body.find(b"\r\n\r\n", start, min(end, start + _LONGEST_HEAD) + 4)
    if blank < 0:
        raise BadRequestFormat(f"the part at byte {start} has no end of its headers")
    headers: dict[str, str] = {}
    for line in body[start:blank].decode("utf-8", "replace").split("\r\n"):
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    given = headers.get("content-disposition", "")
    said = {name: re.sub(r"\\(.)", r"\1", value) for name, value in _PARAMETER.findall(given)}
    if not given.lower().startswith("form-data") or "name" not in said:
        raise BadRequestFormat(f"the part at byte {start} has no name: Content-Disposition is '{shown(given)}'")
    if headers.get("content-transfer-encoding", "binary").lower() not in ("binary", "8bit", "7bit"):
        raise BadRequestFormat(f"the part {shown(said['name'])} is encoded; send its bytes as they are")
    return Part(said["name"], said.get("filename"), headers.get("content-type", ""), body[blank + 4 : end])


_FORM = "multipart/form-data"
_READERS: dict[tuple[str, str], Callable[[str, bytes, bytes, Any], None]] = {
    ("PostInputs", _FORM): _inputs,
    ("PutUploadContentParts", "application/octet-stream"): _content_part,
}
