"""JSON <-> message: group C of the bad inputs, Clarifai's rendering rules, agreement with protobuf's own mapping."""

import base64
import json
import math
import random
import struct
from typing import Any

import pytest
from clarifai_grpc.grpc.api import resources_pb2, service_pb2
from clarifai_grpc.grpc.api.utils import extensions_pb2
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import NULL_VALUE

from luthier.api import json_reader, json_text, json_writer
from luthier.errors import BadRequestFormat, InvalidBytes, LuthierError
from luthier.wire.methods import METHODS


def read(text: str | bytes, message: Message) -> Any:
    json_reader.read(json_text.parse(text.encode() if isinstance(text, str) else text), message)
    return message


def refusal(text: str | bytes, message: Message | None = None) -> LuthierError:
    with pytest.raises(LuthierError) as caught:
        read(text, message or service_pb2.PostModelsRequest())
    return caught.value


def one_input(image: str = "", concept: str = "") -> str:
    return f'{{"inputs":[{{"id":"i","data":{{"image":{{{image}}},"concepts":[{{{concept}}}]}}}}]}}'


# -- text -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "null", "[]", '"x"', "{", "1", "true"])
def test_bad_C1_no_object(text: str) -> None:
    assert isinstance(refusal(text), BadRequestFormat)


def test_bad_C1_tells_line_and_column() -> None:
    assert "line 2 column 3" in refusal('{"models":\n  }').details


def test_bad_C2_unknown_fields_are_ignored() -> None:
    message = read(
        '{"closed_environment":true,"models":[{"id":"m","train_info":{"x":[1]}}]}', service_pb2.PostModelsRequest()
    )
    assert message == service_pb2.PostModelsRequest(models=[{"id": "m"}])


@pytest.mark.parametrize(
    "text", ['{"model_id":"a","model_id":"b"}', '{"models":[{"id":"a","id":"a"}]}', '{"x":{"y":1,"y":2}}']
)
def test_bad_C3_duplicate_key(text: str) -> None:
    assert "twice" in refusal(text).details


def test_bad_C3_one_duplicate_among_very_many() -> None:
    many = ",".join(f'"{number}":0' for number in range(100_000))
    assert "'99999' stands twice" in refusal(f'{{{many},"99999":1}}').details


def test_bad_C4_both_spellings() -> None:
    error = refusal('{"dataset_ids":["a"],"datasetIds":["b"]}', service_pb2.DeleteDatasetsRequest())
    assert "dataset_ids is given twice" in error.details


def test_camel_case_is_read_too() -> None:
    message = read('{"userAppId":{"appId":"a"},"modelId":"m"}', service_pb2.GetModelRequest())
    assert (message.user_app_id.app_id, message.model_id) == ("a", "m")


@pytest.mark.parametrize(
    "text",
    [
        '{"page":1.5}',
        '{"page":"x"}',
        '{"page":true}',
        '{"page":-1}',
        '{"page":4294967296}',
        '{"page":[1]}',
        '{"page":" 1"}',
        '{"page":"1_0"}',
    ],
)
def test_bad_C5_wrong_number(text: str) -> None:
    error = refusal(text, service_pb2.ListModelsRequest())
    assert error.details.startswith("page is ") and "0 to 4294967295" in error.details


@pytest.mark.parametrize("text", ['{"page":2.0}', '{"page":2}', '{"page":"2"}', '{"page":2e0}'])
def test_bad_C5_whole_numbers_in_any_form(text: str) -> None:
    assert read(text, service_pb2.ListModelsRequest()).page == 2


@pytest.mark.parametrize(
    "text",
    [
        '{"models":{}}',
        '{"models":[1]}',
        '{"models":[{"id":1}]}',
        '{"models":"m"}',
        '{"user_app_id":[]}',
        '{"models":[null]}',
    ],
)
def test_bad_C5_wrong_shape(text: str) -> None:
    assert refusal(text).details.startswith(("models", "user_app_id"))


@pytest.mark.parametrize("number", ["1e400", "Infinity", "-Infinity", "NaN", '"NaN"', '"Infinity"', "1e39", "-1e39"])
def test_bad_C6_not_finite(number: str) -> None:
    assert isinstance(
        refusal(one_input(concept=f'"value":{number}'), service_pb2.PostInputsRequest()), BadRequestFormat
    )


@pytest.mark.parametrize("number", ["1e400", "-1e400", "NaN", "Infinity"])
def test_bad_C6_not_finite_in_params(number: str) -> None:
    text = f'{{"model_versions":[{{"train_info":{{"params":{{"lrate":{number}}}}}}}]}}'
    assert isinstance(refusal(text, service_pb2.PostModelVersionsRequest()), BadRequestFormat)


def test_bad_C7_integer_too_large_to_be_exact() -> None:
    text = '{"model_versions":[{"train_info":{"params":{"seed":%d}}}]}'
    error = refusal(text % 9007199254740993, service_pb2.PostModelVersionsRequest())
    assert "model_versions[0].train_info.params.seed" in error.details and "too large to be exact" in error.details
    read(text % 9007199254740992, service_pb2.PostModelVersionsRequest())


@pytest.mark.parametrize("depth", [33, 90, 5_000, 100_000])
@pytest.mark.parametrize("pair", ["[]", "{}"])
def test_bad_C8_depth(depth: int, pair: str) -> None:
    opening = "[" if pair == "[]" else '{"a":'
    text = '{"x":' + opening * (depth - 1) + "1" + pair[1] * (depth - 1) + "}"
    assert "nested too deeply (max 32)" in refusal(text).details


def test_bad_C8_depth_32_is_read() -> None:
    read('{"x":' + "[" * 31 + "]" * 31 + "}", service_pb2.PostModelsRequest())


@pytest.mark.parametrize("body", ["{}".encode("utf-16"), b"\xef\xbb\xbf{}", '{"id":"ä"}'.encode("latin-1")])
def test_bad_C11_C12_other_encodings(body: bytes) -> None:
    assert "UTF-8" in refusal(body).details or "byte order mark" in refusal(body).details


@pytest.mark.parametrize(
    "text", [r'{"models":[{"id":"\ud800"}]}', r'{"ignored":"\udc00x"}', r'{"\ud800":1}', r'{"a":["\uDABC"]}']
)
def test_bad_C12_lone_surrogate(text: str) -> None:
    assert "surrogate" in refusal(text).details


def test_bad_C12_a_pair_is_a_character() -> None:
    assert read(r'{"models":[{"id":"\ud83d\ude00"}]}', service_pb2.PostModelsRequest()).models[0].id == "😀"


@pytest.mark.parametrize("text", ["%%%", "YQ", "YWJj\\nZGVm", "data:image/png;base64,YWJj", "YQ===", "=", "Y Q==", "ä"])
def test_bad_C13_base64_is_exact(text: str) -> None:
    error = refusal(one_input(image=f'"base64":"{text}"'), service_pb2.PostInputsRequest())
    assert isinstance(error, InvalidBytes) and error.code == 30300
    assert error.details.startswith("inputs[0].data.image.base64 is ")


def test_bad_C13_the_data_prefix_is_refused_with_a_hint() -> None:
    error = refusal(one_input(image='"base64":"data:image/png;base64,YWJj"'), service_pb2.PostInputsRequest())
    assert "up to the comma" in error.details


@pytest.mark.parametrize("text", ["-_-_", "+/+/"])
def test_both_base64_alphabets_are_read(text: str) -> None:
    message = read(one_input(image=f'"base64":"{text}"'), service_pb2.PostInputsRequest())
    assert message.inputs[0].data.image.base64 == b"\xfb\xff\xbf"


@pytest.mark.parametrize(
    "value", ["99999999", '"NOT_A_NAME"', "1.5", "true", "-7", '"--5"', '"-"', f'"{"9" * 5000}"', '"٥"']
)
def test_bad_C16_unknown_enum(value: str) -> None:
    error = refusal(f'{{"visibility":{{"gettable":{value}}}}}', resources_pb2.Model())
    assert "visibility.gettable" in error.details and "PRIVATE" in error.details


@pytest.mark.parametrize("value", ['"PUBLIC"', "50", '"50"', "50.0"])
def test_bad_C16_enums_by_name_or_number(value: str) -> None:
    assert read(f'{{"visibility":{{"gettable":{value}}}}}', resources_pb2.Model()).visibility.gettable == 50


@pytest.mark.parametrize("tail", ["x", "{}", "]", ",", "\0"])
def test_bad_C22_trailing_junk(tail: str) -> None:
    assert isinstance(refusal("{}" + tail), BadRequestFormat)


# -- Clarifai's rules -------------------------------------------------------------------------------------------------


def test_a_concept_without_value_means_one() -> None:
    message = read(one_input(concept='"id":"dog"'), service_pb2.PostInputsRequest())
    assert message.inputs[0].data.concepts[0].value == 1.0
    message = read(one_input(concept='"id":"dog","value":0'), service_pb2.PostInputsRequest())
    assert message.inputs[0].data.concepts[0].value == 0.0
    message = read(one_input(concept='"id":"dog","value":null'), service_pb2.PostInputsRequest())
    assert message.inputs[0].data.concepts[0].value == 1.0


def test_a_concept_means_one_however_deep() -> None:
    text = '{"annotations":[{"data":{"regions":[{"data":{"concepts":[{"id":"a"}]}}]}}]}'
    message = read(text, service_pb2.PostAnnotationsRequest())
    assert message.annotations[0].data.regions[0].data.concepts[0].value == 1.0


def written(message: Message) -> Any:
    return json.loads(json_writer.write(message))


def test_a_response_reads_the_same_however_often_it_is_asked_for() -> None:
    for number in range(3):
        for notes in ("a", "é", "x" * 10_000, ""):
            status = {"code": 10000, "req_id": str(number)}
            response = service_pb2.SingleModelResponse(status=status, model={"id": "m", "notes": notes})
            whole = written(response)
            assert json.loads(json_writer.write_response(response)) == whole
    assert json.loads(json_writer.write_response(service_pb2.SingleModelResponse())) == {"status": {}}


def test_marked_fields_are_shown_though_empty() -> None:
    assert written(resources_pb2.Concept(id="a")) == {"id": "a", "value": 0.0}
    assert written(service_pb2.MultiConceptResponse()) == {"concepts": []}
    assert written(resources_pb2.BoundingBox()) == {
        "top_row": 0.0,
        "left_col": 0.0,
        "bottom_row": 0.0,
        "right_col": 0.0,
    }
    assert written(service_pb2.MultiTrainingTimeEstimateResponse()) == {}


def test_every_marked_field_is_shown() -> None:
    shown = 0
    for method in METHODS:
        fields = method.response.DESCRIPTOR.fields
        marked = [f for f in fields if f.GetOptions().Extensions[extensions_pb2.cl_show_if_empty]]
        singular = {f.name for f in marked if f.message_type and not f.is_repeated}
        names = {f.name for f in marked} - singular
        assert names <= set(written(method.response())), method.name
        shown += len(names)
    assert shown > 60


def test_durations_times_enums_and_large_integers() -> None:
    response = service_pb2.MultiTrainingTimeEstimateResponse()
    response.training_time_estimates.add().FromSeconds(308)
    assert written(response) == {"training_time_estimates": ["308s"]}
    model = resources_pb2.Model()
    model.created_at.FromJsonString("2023-05-04T07:11:43.123456Z")
    model.visibility.gettable = 10
    model.model_version.total_input_count = 5
    assert written(model)["created_at"] == "2023-05-04T07:11:43.123456Z"
    assert written(model)["visibility"] == {"gettable": 10}
    metrics = resources_pb2.DatasetVersionMetrics()
    metrics.inputs_count.value = 0
    assert written(metrics) == {"inputs_count": "0"}


def test_params_are_plain_json() -> None:
    version = resources_pb2.ModelVersion()
    params = {"template": "t", "num_epochs": 2, "lrate": 0.5, "flag": False, "none": None, "list": [1, {"a": "b"}]}
    version.train_info.params.update(params)
    assert written(version)["train_info"]["params"] == params
    assert '"num_epochs":2' in json_writer.write(version).decode()


def test_a_value_without_kind_is_null() -> None:
    version = resources_pb2.ModelVersion()
    version.train_info.params.fields["odd"].Clear()
    assert written(version)["train_info"]["params"] == {"odd": None}


def test_bytes_of_an_input_are_echoed_as_true_and_others_as_they_are() -> None:
    picture = {"image": {"base64": b"\x89PNG"}}
    masked = {"regions": [{"region_info": {"mask": {"image": {"base64": b"\x89PNG"}}}}]}
    output = resources_pb2.Output(input={"data": picture}, data=masked)
    result = written(output)
    assert result["input"]["data"]["image"]["base64"] == "dHJ1ZQ=="
    mask = result["data"]["regions"][0]["region_info"]["mask"]["image"]["base64"]
    assert base64.b64decode(mask) == b"\x89PNG"
    assert (
        written(resources_pb2.Input(data=masked))["data"]["regions"][0]["region_info"]["mask"]["image"]["base64"]
        == mask
    )


def test_float32_is_the_shortest_that_reads_back() -> None:
    draw = random.Random(1)
    patterns = [draw.getrandbits(32) for _ in range(2000)] + [0, 1, 0x7F7FFFFF, 0x00800000, 0x80000000]
    for pattern in patterns:
        (value,) = struct.unpack("<f", struct.pack("<I", pattern))
        if not math.isfinite(value):
            continue
        shown = written(resources_pb2.Concept(value=value))["value"]
        assert struct.unpack("<f", struct.pack("<f", shown))[0] == value
        assert len(repr(shown)) <= len(repr(value))
    assert written(resources_pb2.Concept(value=0.1))["value"] == 0.1
    assert written(resources_pb2.Concept(value=0.7))["value"] == 0.7


# -- agreement with protobuf's own mapping, wherever the rules are the same -------------------------------------------


def fill(message: Any, draw: random.Random, depth: int = 0) -> None:
    """Random values into random fields."""
    descriptor: Descriptor = message.DESCRIPTOR
    if descriptor.full_name.startswith("google.protobuf"):
        return fill_known(message, draw)
    for field in descriptor.fields:
        if draw.random() > (0.5 if depth < 2 else 0.25) or depth > 5:
            continue
        if field.message_type and field.message_type.GetOptions().map_entry:
            continue
        if field.message_type:
            targets = (
                [getattr(message, field.name).add() for _ in range(2)]
                if field.is_repeated
                else [getattr(message, field.name)]
            )
            for target in targets:
                if not field.is_repeated:
                    target.SetInParent()
                fill(target, draw, depth + 1)
        elif field.is_repeated:
            getattr(message, field.name).extend([scalar(field, draw) for _ in range(2)])
        else:
            setattr(message, field.name, scalar(field, draw))
    return None


def fill_known(message: Any, draw: random.Random) -> None:
    name = message.DESCRIPTOR.name
    if name == "Timestamp":
        message.FromNanoseconds(draw.randrange(10**18))
    elif name == "Duration":
        message.FromMilliseconds(draw.randrange(-(10**9), 10**9))
    elif name == "Struct":
        message.update({"a": draw.random(), "b": [1.5, "x", None, True], "c": {"d": "é\u2028"}, "": False})
    elif name == "Value":
        draw.choice(
            [lambda: setattr(message, "number_value", 0.25), lambda: setattr(message, "null_value", NULL_VALUE)]
        )()
    elif name == "ListValue":
        message.extend([1.5, "x"])
    else:
        message.value = draw.choice([0, 1])


def scalar(field: FieldDescriptor, draw: random.Random) -> Any:
    if field.enum_type:
        return draw.choice(field.enum_type.values).number
    if field.type == FieldDescriptor.TYPE_BYTES:
        return draw.randbytes(draw.randrange(8))
    return {
        FieldDescriptor.CPPTYPE_STRING: lambda: draw.choice(["", "a", "ünï", '\u2028\x01"\\', "😀"]),
        FieldDescriptor.CPPTYPE_BOOL: lambda: draw.random() < 0.5,
        FieldDescriptor.CPPTYPE_FLOAT: lambda: draw.choice([0.0, 0.1, 1e-30, 123456.789, draw.random()]),
        FieldDescriptor.CPPTYPE_DOUBLE: lambda: draw.choice([0.0, 0.1, 1e300, draw.random()]),
        FieldDescriptor.CPPTYPE_INT32: lambda: draw.choice([0, -1, 2**31 - 1]),
        FieldDescriptor.CPPTYPE_UINT32: lambda: draw.choice([0, 1, 2**32 - 1]),
        FieldDescriptor.CPPTYPE_INT64: lambda: draw.choice([0, -1, 2**63 - 1]),
        FieldDescriptor.CPPTYPE_UINT64: lambda: draw.choice([0, 1, 2**64 - 1]),
    }[field.cpp_type]()


def without_our_rules(values: Any, message: Any) -> Any:
    """protobuf's rendering, and ours with what cl_show_if_empty adds and the echo replaces taken back."""
    reference = json_format.MessageToDict(message, preserving_proto_field_name=True, use_integers_for_enums=True)
    return reference, align(values, reference)


def align(ours: Any, reference: Any) -> Any:
    if isinstance(ours, dict) and isinstance(reference, dict):
        extra = {key for key in ours if key not in reference}
        assert all(ours[key] in (0, "0", "", False, [], {}) for key in extra), extra
        return {key: align(ours[key], reference[key]) for key in ours if key not in extra}
    if isinstance(ours, list) and isinstance(reference, list):
        return [align(a, b) for a, b in zip(ours, reference, strict=True)]
    return reference if ours == json_writer.ECHO else ours


MESSAGES = sorted(
    {cls for m in METHODS for cls in (m.request, m.response)}, key=lambda cls: str(cls.DESCRIPTOR.full_name)
)


@pytest.mark.parametrize("part", range(8))
def test_writing_agrees_with_protobufs_own(part: int) -> None:
    for number, cls in enumerate(MESSAGES[part::8]):
        message: Any = cls()
        fill(message, random.Random(number))
        reference, ours = without_our_rules(json.loads(json_writer.write(message)), message)
        assert ours == reference, cls.DESCRIPTOR.full_name


@pytest.mark.parametrize("part", range(8))
def test_reading_agrees_with_protobufs_own(part: int) -> None:
    for number, cls in enumerate(MESSAGES[part::8]):
        message: Any = cls()
        fill(message, random.Random(number))
        for camel, by_name in ((True, True), (False, False)):
            values = json_format.MessageToDict(
                message,
                preserving_proto_field_name=not camel,
                use_integers_for_enums=not by_name,
                always_print_fields_with_no_presence=True,  # else a Concept's 0 would read as missing
            )
            expected = json_format.ParseDict(values, cls())
            result: Any = cls()
            json_reader.read(json_text.parse(json.dumps(values).encode()), result)
            assert result == expected, cls.DESCRIPTOR.full_name
