"""XML that strangers wrote: no document types, so no entities, within bounds of size and depth. Next: `voc`."""

from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from luthier.errors import InvalidRequest

MOST_BYTES = 16 * 2**20
DEEPEST = 32


def read_xml(path: Path) -> Element:
    """The root element. Raises InvalidRequest with line and column for anything but plain XML."""
    if path.stat().st_size > MOST_BYTES:
        raise InvalidRequest(f"the XML file has {path.stat().st_size} bytes; the most is {MOST_BYTES}")
    builder, depth = TreeBuilder(), [0]
    parser = expat.ParserCreate()

    def start(name: str, attributes: dict[str, str]) -> None:
        depth[0] += 1
        if depth[0] > DEEPEST:
            raise InvalidRequest(f"the XML is nested more than {DEEPEST} deep")
        builder.start(name, attributes)

    def end(name: str) -> None:
        depth[0] -= 1
        builder.end(name)

    def refuse(*declared: object) -> None:
        raise InvalidRequest("the XML declares a document type, which may hide entities; remove the DOCTYPE line")

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(path.read_bytes(), True)
    except expat.ExpatError as error:
        raise InvalidRequest(f"this is not XML: {error}") from error
    return builder.close()


def text_of(element: Element, path: str) -> str:
    """Stripped text of the first element at `path`, "" where there is none."""
    return (element.findtext(path) or "").strip()
