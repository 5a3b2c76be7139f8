"""Where the pictures lie that an annotation file names: inside the folder of the data, or nowhere. Next: `settle`."""

from collections.abc import Iterable
from pathlib import Path

from luthier.errors import shown

PICTURE_ENDINGS = frozenset({".jpg", ".jpeg", ".jpe", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff"})


def find_file(name: str, root: Path, folders: Iterable[Path] = ()) -> tuple[str, str]:
    """(path, "") of the file called `name` in the first of `folders` that holds it, else in `root`; or ("", problem).

    `root` is resolved. Nothing outside of it is ever opened, whatever the name or a link says; nothing is fetched.
    """
    if "://" in name:
        return "", f"{shown(name)} is an address; pictures are not fetched here: download it and give its path"
    if not name.strip() or "\0" in name:
        return "", f"the picture's name is {shown(name)!r}; give the path of a file"
    if Path(name).name == "" or ".." in Path(name).parts:
        return "", f"{shown(name)} leads out of the folder of the data; put the picture inside of it"
    for folder in (*folders, root):
        path = folder / name
        try:
            found = path.is_file()
        except (OSError, ValueError):
            found = False
        if found and not path.resolve().is_relative_to(root):
            return "", f"{shown(name)} leads out of the folder of the data; put the picture inside of it"
        if found:
            return str(path), ""
    return "", f"there is no file {shown(name)} in the folder of the data"


def looks_like_picture(name: str) -> bool:
    return Path(name).suffix.lower() in PICTURE_ENDINGS and "\n" not in name
