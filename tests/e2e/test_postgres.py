"""The main job with everything in PostgreSQL: upload, train, predict; and the database's password stays a secret."""

from collections.abc import Iterator

import pytest

from tests.e2e.client import Client, curl
from tests.e2e.conftest import Server, new_server, running
from tests.postgres import Postgres

PASSWORD = "hush-hush-4711"  # the tests' server asks for none and takes any


@pytest.fixture(scope="module")
def url(postgres: Postgres) -> Iterator[str]:
    with postgres.bare() as plain:
        yield plain.replace("://luthier@", f"://luthier:{PASSWORD}@")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, url: str) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("on postgresql")
    with running(new_server(root, database_url=url, training_threads="1")) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: Server) -> Client:
    made = Client(server, "digits")
    made.PostApps(apps=[{"id": "digits"}])
    return made


def test_the_main_job(server: Server, client: Client, digits: list[tuple[str, bytes]]) -> None:
    client.upload([(f"digit-{number}", label, data) for number, (label, data) in enumerate(digits[40:400])])
    client.PostModels(models=[{"id": "reader", "model_type_id": "visual-classifier"}])
    answer = client.PostModelVersions(
        model_id="reader",
        model_versions=[
            {
                "train_info": {"params": {"template": "luthier_tiny_resnet", "num_epochs": 4}},
                "output_info": {"data": {"concepts": [{"id": label} for label in "0123456789"]}},
            }
        ],
    )
    version = client.trained("reader", answer.model.model_version.id)
    assert version.metadata["luthier"]["metrics"]["accuracy"] > 0.3
    code, shown = curl(server, "GET", f"/v2/users/{server.user_id}/apps/digits/models/reader/versions/{version.id}")
    assert (code, shown["model_version"]["status"]["code"]) == (200, 21100)

    outputs = client.PostModelOutputs(
        model_id="reader", inputs=[{"data": {"image": {"base64": data}}} for _, data in digits[:40]]
    ).outputs
    right = [output.data.concepts[0].id == label for output, (label, _) in zip(outputs, digits[:40], strict=True)]
    assert sum(right) > 10
    assert not list(server.data_dir.glob("luthier.db*"))


def test_calls_go_on_after_the_database_was_restarted(client: Client, postgres: Postgres, url: str) -> None:
    before = client.GetInputCount().counts.processed
    assert postgres.disconnect_all(url) > 0
    assert client.GetInputCount().counts.processed == before
    client.PostConcepts(concepts=[{"id": "new"}])


def test_the_password_is_shown_nowhere(server: Server) -> None:
    shown = server.command("settings") + server.command("migrate") + server.command("token", "list")
    assert "://luthier:***@" in shown
    written = [path.read_bytes() for path in server.data_dir.parent.rglob("*") if path.is_file()]
    assert written and not any(PASSWORD.encode() in data for data in [shown.encode(), *written])
