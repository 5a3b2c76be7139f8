"""The table of calls, and that the committed generated files are what the generator makes."""

from pathlib import Path

from luthier.wire import generate as generator
from luthier.wire.methods import BY_NAME, METHODS, Auth, Route


def test_generated_files_are_what_the_generator_makes(tmp_path: Path) -> None:
    generator.generate(tmp_path)
    for name in generator.GENERATED:
        committed = (generator.ROOT / name).read_text(encoding="utf-8")
        assert (tmp_path / name).read_text(encoding="utf-8") == committed, (
            f"{name}: run python -m luthier.wire.generate"
        )


def test_every_rpc_of_the_published_service_is_in_the_table() -> None:
    published = [method for method in METHODS if method.service == "clarifai.api.V2"]
    assert len(published) == 273
    assert all(method.routes for method in METHODS)
    assert sum(len(method.routes) for method in published) == 467
    assert len(BY_NAME) == len(METHODS), "a name of ours hides a published one"


def test_the_table_tells_what_the_descriptor_says() -> None:
    method = BY_NAME["DeleteModelVersion"]
    assert method.grpc_path == "/clarifai.api.V2/DeleteModelVersion"
    assert method.request.DESCRIPTOR.name == "DeleteModelVersionRequest"
    assert "Models_Delete" in method.scopes and method.auth is Auth.KEY and not method.streaming
    assert Route("DELETE", "/v2/models/{model_id}/versions/{version_id}", "") in method.routes
    assert BY_NAME["ListStatusCodes"].auth is Auth.NONE and BY_NAME["ListStatusCodes"].scopes == frozenset()
    assert BY_NAME["GenerateModelOutputs"].streaming


def test_every_response_can_carry_a_status() -> None:
    assert all("status" in method.response.DESCRIPTOR.fields_by_name for method in METHODS)
