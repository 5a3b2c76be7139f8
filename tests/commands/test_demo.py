"""The demo's own parts; `make demo` is the whole of it."""

import importlib.util
import io
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from clarifai_grpc.grpc.api import service_pb2
from PIL import Image

from luthier.commands.demo import calls, digits
from luthier.commands.demo.main_job import BATCH, batches, labelled_input
from luthier.commands.demo.server import DemoServer, free_address


def test_digits_are_real_pictures_in_class_folders_and_some_are_held_back(tmp_path: Path) -> None:
    everything = digits.write(tmp_path)
    assert len(everything) == len(list(tmp_path.glob("*/*.png"))) == 1797
    uploaded, unseen = digits.hold_out(everything)
    assert len(unseen) == 20
    assert {digit.label for digit in unseen} == {str(number) for number in range(10)}
    assert not {digit.id for digit in uploaded} & {digit.id for digit in unseen}
    with Image.open(everything[0].path, formats=("PNG",)) as picture:
        assert picture.size == (8, 8)
        assert picture.getextrema() == (0, 239)


def test_batches_hold_at_most_what_a_call_may_carry(tmp_path: Path) -> None:
    some = [digits.Digit(f"d{number}", "3", tmp_path) for number in range(300)]
    sizes = [len(batch) for batch in batches(some)]
    assert sizes == [BATCH, BATCH, 300 - 2 * BATCH]


def test_a_digit_is_sent_with_its_bytes_and_its_label(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("L", (8, 8)).save(buffer, "PNG")
    (tmp_path / "one.png").write_bytes(buffer.getvalue())
    message = labelled_input(digits.Digit("one", "7", tmp_path / "one.png"))
    assert message.data.image.base64 == buffer.getvalue()
    assert [(concept.id, concept.name, concept.value) for concept in message.data.concepts] == [("digit-7", "7", 1.0)]


def test_a_taken_port_is_replaced_by_a_free_one() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        wanted = f"127.0.0.1:{other.getsockname()[1]}"
        taken: set[str] = set()
        found = free_address(wanted, taken)
    assert found != wanted
    assert found in taken
    assert found.startswith("127.0.0.1:")


def test_its_server_starts_in_a_folder_with_a_space_in_its_name(tmp_path: Path) -> None:
    data_dir = tmp_path / "a folder" / "data"
    data_dir.parent.mkdir()
    with DemoServer(data_dir) as server:
        assert server.exports["CLARIFAI_USER_ID"] == "luthier"
        assert server.exports["CLARIFAI_PAT"].startswith("luth_pat_")
        assert Path(server.exports["GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"]) == data_dir / "tls" / "ca.pem"
        assert (data_dir / "tls" / "ca.pem").exists()
        with urllib.request.urlopen(f"{server.settings.base_url}/livez", timeout=10) as answer:
            assert answer.status == 200
    with pytest.raises(OSError):
        urllib.request.urlopen(f"{server.settings.base_url}/livez", timeout=2)


def test_calls_are_named_after_their_messages() -> None:
    for name in ("PostInputs", "GetInputsAddJob", "PostModelVersionsTrainingTimeEstimate", "PostModelOutputs"):
        request = getattr(service_pb2, f"{name}Request")()
        assert calls._method(request) == name


def test_without_scikit_learn_the_demo_says_what_to_install(tmp_path: Path) -> None:
    assert importlib.util.find_spec("sklearn")
    program = (
        "import importlib.util, sys\n"
        "find = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *rest: None if name == 'sklearn' else find(name, *rest)\n"
        "from luthier.commands.demo.__main__ import main\n"
        "sys.exit(main())\n"
    )
    answer = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert answer.returncode == 2
    assert ".[demo]" in answer.stderr
    assert not (tmp_path / ".demo").exists()
