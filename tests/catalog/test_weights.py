"""The weights folder: what is needed, what is here, what is let in and what is refused."""

import hashlib
import json
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open

from luthier.catalog import weights
from luthier.catalog.model_type import find_template
from luthier.catalog.safetensors_header import read_header
from luthier.errors import CorruptFile, InvalidRequest, LuthierError, MissingWeights

OTHER = "mine/anything"  # no template uses it, so its tensors are not compared with a network
ONE_TENSOR = {"a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}


def safetensors(header: Any = ONE_TENSOR, data: bytes = bytes(24), length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "download"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(safetensors())
    (folder / "config.json").write_text('{"architecture": "x"}')
    return folder


def test_needed_names_each_weights_once_with_its_templates() -> None:
    needed = dict(weights.needed())
    assert needed["timm/inception_v3.tv_in1k"] == [
        "Clarifai_InceptionTransferEmbedNorm",
        "classification_inception_general_v1_3_transfer_embednorm",
    ]
    assert needed["luthier/bn_inception"] == ["Clarifai_InceptionBatchNorm"] * 2  # the classifier and the embedder
    assert needed["timm/resnet50.tv_in1k"] == [
        "MMClassification_ResNet_50",
        "MMDetection_AdvancedConfig",
        "MMDetection_FasterRCNN",
        "MMDetection_YoloF",
    ]


def test_missing_weights_name_the_commands_that_bring_them(tmp_path: Path) -> None:
    with pytest.raises(MissingWeights) as caught:
        weights.require(tmp_path, "timm/resnet50.a1_in1k")
    assert caught.value.code == 21118
    for word in (
        "timm/resnet50.a1_in1k is not in the weights folder",
        "luthier weights pull timm/resnet50.a1_in1k",
        "luthier weights add timm/resnet50.a1_in1k PATH",
    ):
        assert word in caught.value.details


@pytest.mark.parametrize(
    ("model_type", "template", "ways"),
    [
        ("visual-classifier", "MMClassification_ResNet_50", ["set pretrained_weights to None"]),
        ("visual-classifier", "MMClassification", ["give the backbone in custom_config init_cfg=None"]),
        ("text-classifier", "luthier_minilm", []),
    ],
)
def test_missing_weights_name_how_the_template_does_without(model_type: str, template: str, ways: list[str]) -> None:
    with pytest.raises(MissingWeights) as caught, weights.or_random_ones(find_template(model_type, template)):
        raise MissingWeights("x")
    assert caught.value.details == "; or ".join(["x", *(f"{way} to start from random weights" for way in ways)])


def test_weights_that_no_hub_has_are_not_to_be_pulled(tmp_path: Path) -> None:
    with pytest.raises(MissingWeights) as caught:
        weights.require(tmp_path, "luthier/bn_inception")
    assert "luthier weights add luthier/bn_inception PATH" in caught.value.details
    assert "pull" not in caught.value.details


def test_adding_a_folder_copies_model_and_config_and_records_the_hash(tmp_path: Path, source: Path) -> None:
    steps: list[tuple[int, int]] = []
    added = weights.add(tmp_path / "w", OTHER, source, progress=lambda done, size: steps.append((done, size)))
    place = tmp_path / "w" / "mine" / "anything"
    assert {file.name for file in place.iterdir()} == {"model.safetensors", "config.json", "weights.json"}
    assert added.sha256 == hashlib.sha256(safetensors()).hexdigest()
    assert (added.tensors, added.bytes, added.source) == (1, len(safetensors()), str(source))
    assert json.loads((place / "weights.json").read_text())["sha256"] == added.sha256
    assert weights.find(tmp_path / "w", OTHER) == place / "model.safetensors"
    assert weights.require(tmp_path / "w", OTHER) == place / "model.safetensors"
    assert weights.record(tmp_path / "w", OTHER) == added
    assert steps[-1] == (added.bytes, added.bytes)
    assert [path.name for path in (tmp_path / "w" / "mine").iterdir()] == ["anything"]  # nothing is left beside it


def test_a_language_model_brings_its_tokenizer(tmp_path: Path, source: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        (source / name).write_text("{}", encoding="utf-8")
    (source / "chat_template.jinja").write_text("{% for m in messages %}Ünïcode{% endfor %}", encoding="utf-8")
    weights.add(tmp_path / "weights", "org/model", source)
    beside = {file.name: file for file in weights.assets(tmp_path / "weights", "org/model")}
    assert set(beside) == {*weights.LARGEST_BESIDE, "weights.json"}
    assert beside["chat_template.jinja"].read_bytes() == (source / "chat_template.jinja").read_bytes()
    assert not (weights.folder(tmp_path / "weights", "org/model") / "vocab.txt").exists()


def in_parts(folder: Path, names: dict[str, str]) -> Path:
    """A model whose tensors, by name, lie in files; each holds 24 bytes of its own letter."""
    folder.mkdir()
    for place, (tensor, file) in enumerate(names.items()):
        rows = {tensor: {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}
        header = json.dumps(rows).encode()
        (folder / file).write_bytes(len(header).to_bytes(8, "little") + header + bytes([97 + place]) * 24)
    index = {"weight_map": names}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    return folder


def test_a_model_in_parts_becomes_one_file(tmp_path: Path) -> None:
    names = {f"w{number}": f"model-0000{number}-of-00003.safetensors" for number in (1, 2, 3)}
    added = weights.add(tmp_path / "w", OTHER, in_parts(tmp_path / "parts", names))
    found = weights.require(tmp_path / "w", OTHER)
    assert (added.tensors, added.bytes) == (3, found.stat().st_size)
    assert hashlib.sha256(found.read_bytes()).hexdigest() == added.sha256
    with safe_open(found, "np") as file:
        letters = {name: set(file.get_tensor(name).tobytes()) for name in file.keys()}  # noqa: SIM118
    assert letters == {"w1": {97}, "w2": {98}, "w3": {99}}


def test_parts_that_are_missing_doubled_or_elsewhere_are_refused(tmp_path: Path) -> None:
    one = in_parts(tmp_path / "one", {"a": "x.safetensors", "b": "y.safetensors"})
    (one / "y.safetensors").unlink()
    with pytest.raises(InvalidRequest, match=r"lacks y\.safetensors"):
        weights.add(tmp_path / "w", OTHER, one)
    two = in_parts(tmp_path / "two", {"a": "x.safetensors", "b": "y.safetensors"})
    (two / "y.safetensors").write_bytes((two / "x.safetensors").read_bytes())
    with pytest.raises(CorruptFile, match="the tensor a, which another part has too"):
        weights.add(tmp_path / "w", OTHER, two)
    for name in ("../x.safetensors", "/etc/passwd", "pytorch_model.bin"):
        (two / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": name}}), encoding="utf-8")
        with pytest.raises(CorruptFile, match="no such parts"):
            weights.add(tmp_path / "w", OTHER, two)
    assert weights.find(tmp_path / "w", OTHER) is None


def test_a_user_s_own_name_is_never_fetched_by_itself() -> None:
    lora = find_template("text-classifier", "HF_GPTNeo_125m_lora")
    assert weights.fetched_when_needed(lora, "EleutherAI/gpt-neo-125m")
    assert not weights.fetched_when_needed(lora, "mine/neo")
    assert weights.fetched_when_needed(find_template("visual-classifier", "Clarifai_ResNext"), "timm/any")


def test_bad_P33_a_tokenizer_that_names_code_is_refused(tmp_path: Path, source: Path) -> None:
    (source / "tokenizer_config.json").write_text('{"auto_map": {"AutoTokenizer": "evil.py"}}', encoding="utf-8")
    with pytest.raises(InvalidRequest, match="auto_map"):
        weights.add(tmp_path / "weights", "org/model", source)


def test_adding_again_replaces_and_a_refused_file_leaves_what_was_there(tmp_path: Path, source: Path) -> None:
    first = weights.add(tmp_path / "w", OTHER, source)
    (source / "model.safetensors").write_bytes(safetensors(data=b"x" * 24))
    second = weights.add(tmp_path / "w", OTHER, source / "model.safetensors")
    assert second.sha256 != first.sha256
    assert not (tmp_path / "w" / "mine" / "anything" / "config.json").exists()  # it belonged to the first
    (source / "model.safetensors").write_bytes(safetensors(data=b"x" * 23))
    with pytest.raises(CorruptFile):
        weights.add(tmp_path / "w", OTHER, source)
    assert weights.record(tmp_path / "w", OTHER) == second


def test_weights_put_there_by_hand_are_found(tmp_path: Path) -> None:
    place = tmp_path / "timm" / "resnet50.a1_in1k"
    place.mkdir(parents=True)
    (place / "model.safetensors").write_bytes(safetensors())
    assert weights.find(tmp_path, "timm/resnet50.a1_in1k")
    row = next(row for row in weights.status(tmp_path) if row.name == "timm/resnet50.a1_in1k")
    assert row.here and row.sha256 == "" and row.on_hub


def test_a_name_above_other_weights_is_refused(tmp_path: Path, source: Path) -> None:
    weights.add(tmp_path, OTHER, source)
    with pytest.raises(InvalidRequest, match="mine is a folder of other weights"):
        weights.add(tmp_path, "mine", source)
    assert weights.find(tmp_path, OTHER)


@pytest.mark.parametrize(
    "name", ["", "/", "../x", "a/../b", "/etc/x", "a//b", "a/", ".hidden/x", "a\\b", "a b", "a\x00", "ä/b", "x" * 201]
)
def test_bad_H9_a_name_that_is_no_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidRequest, match="give a name like timm"):
        weights.folder(tmp_path, name)


# -- what is refused ---------------------------------------------------------------------------------------------------

CANARY = "import_me_if_you_dare"


class Evil:
    """Makes a file when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (self.path, "w"))


@pytest.mark.parametrize("suffix", weights.UNSAFE_SUFFIXES)
def test_bad_P33_files_that_can_run_code_are_refused_by_name(tmp_path: Path, suffix: str) -> None:
    file, canary = tmp_path / f"model{suffix}", tmp_path / CANARY
    file.write_bytes(pickle.dumps(Evil(str(canary))))
    with pytest.raises(InvalidRequest, match="can run code"):
        weights.add(tmp_path / "w", OTHER, file)
    assert not canary.exists() and weights.find(tmp_path / "w", OTHER) is None


def test_bad_P33_a_folder_with_a_pickle_alone_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps({}))
    with pytest.raises(InvalidRequest, match=r"pytorch_model\.bin is refused: such a file can run code"):
        weights.add(tmp_path / "w", OTHER, tmp_path)


def test_bad_P33_a_pickle_beside_safetensors_is_left_where_it_is(tmp_path: Path, source: Path) -> None:
    (source / "pytorch_model.bin").write_bytes(pickle.dumps(Evil(str(tmp_path / CANARY))))
    weights.add(tmp_path / "w", OTHER, source)
    assert not list((tmp_path / "w").rglob("*.bin")) and not (tmp_path / CANARY).exists()


def zipped(tmp_path: Path) -> bytes:
    with zipfile.ZipFile(tmp_path / "z", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Evil(str(tmp_path / CANARY))))
    return (tmp_path / "z").read_bytes()


HOSTILE = {
    "empty": b"",
    "seven bytes": bytes(7),
    "pickle": pickle.dumps({"a": 1}),
    "text": b"#!/bin/sh\n" * 100,
    "header longer than the file": safetensors(length=10**6),
    "header of 2^63": safetensors(length=2**63),
    "header of length 0": safetensors(length=0),
    "header no JSON": safetensors(b"{]"),
    "header a list": safetensors([]),
    "header not UTF-8": safetensors(b'{"\xff": 1}'),
    "header very deep": safetensors(b'{"a":' * 20_000 + b"1" + b"}" * 20_000),
    "tensor no object": safetensors({"a": 1}),
    "no offsets": safetensors({"a": {"dtype": "F32", "shape": [2, 3]}}),
    "unknown type": safetensors({"a": {"dtype": "OBJ", "shape": [2, 3], "data_offsets": [0, 24]}}),
    "negative size": safetensors({"a": {"dtype": "F32", "shape": [-2, -3], "data_offsets": [0, 24]}}),
    "fractional size": safetensors({"a": {"dtype": "F32", "shape": [2.0, 3], "data_offsets": [0, 24]}}),
    "size as truth": safetensors({"a": {"dtype": "F32", "shape": [True, 6], "data_offsets": [0, 24]}}),
    "shape and bytes differ": safetensors({"a": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 24]}}),
    "begins late": safetensors({"a": {"dtype": "F32", "shape": [5], "data_offsets": [4, 24]}}),
    "overlap": safetensors(ONE_TENSOR | {"b": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}),
    "cut off": safetensors(data=bytes(23)),
    "something follows": safetensors(data=bytes(25)),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_bad_P33_damaged_or_disguised_files_are_refused(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(HOSTILE[kind])
    with pytest.raises(CorruptFile):
        weights.add(tmp_path / "w", OTHER, file)
    assert weights.find(tmp_path / "w", OTHER) is None


def test_bad_P33_a_torch_archive_under_another_name(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(zipped(tmp_path))
    with pytest.raises(CorruptFile, match="no safetensors file"):
        weights.add(tmp_path / "w", OTHER, file)
    assert not (tmp_path / CANARY).exists()


@pytest.mark.parametrize(
    "config", ['{"auto_map": {"AutoModel": "x.py"}}', "[]", "{", "", "[" * 100_000, "9" * 2_000_000]
)
def test_bad_P33_a_config_that_names_code_or_is_none(tmp_path: Path, source: Path, config: str) -> None:
    (source / "config.json").write_text(config)
    with pytest.raises(LuthierError, match=r"config\.json"):
        weights.add(tmp_path / "w", OTHER, source)
    assert weights.find(tmp_path / "w", OTHER) is None


@pytest.mark.parametrize("template", [b"caf\xe9", b"a" * (2**20 + 1)], ids=["no UTF-8", "too large"])
def test_bad_E4_a_chat_template_that_is_no_text(tmp_path: Path, source: Path, template: bytes) -> None:
    (source / "chat_template.jinja").write_bytes(template)
    with pytest.raises(CorruptFile, match=r"chat_template\.jinja is not readable as UTF-8 of at most 1048576 bytes"):
        weights.add(tmp_path / "w", OTHER, source)
    assert weights.find(tmp_path / "w", OTHER) is None


def test_a_source_that_is_not_there_or_not_clear(tmp_path: Path, source: Path) -> None:
    with pytest.raises(InvalidRequest, match="does not exist"):
        weights.add(tmp_path / "w", OTHER, tmp_path / "nowhere")
    (source / "model.safetensors").rename(source / "part-1.safetensors")
    (source / "part-2.safetensors").write_bytes(safetensors())
    with pytest.raises(InvalidRequest, match="holds 2 safetensors files"):
        weights.add(tmp_path / "w", OTHER, source)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidRequest, match="holds no safetensors file"):
        weights.add(tmp_path / "w", OTHER, tmp_path / "empty")
    with pytest.raises(InvalidRequest, match=r"only \.safetensors files"):
        weights.add(tmp_path / "w", OTHER, source / "config.json")


def test_header_is_read_in_the_order_of_the_bytes_and_metadata_is_no_tensor(tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"
    header = {
        "__metadata__": {"format": "pt"},
        "b": {"dtype": "BF16", "shape": [2], "data_offsets": [4, 8]},
        "a": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]},
        "empty": {"dtype": "I64", "shape": [0, 5], "data_offsets": [8, 8]},
    }
    file.write_bytes(safetensors(header, bytes(8)))
    assert [(tensor.name, tensor.shape) for tensor in read_header(file)] == [("a", ()), ("b", (2,)), ("empty", (0, 5))]
