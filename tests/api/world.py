"""Two users on a real database with the real functions: Bob, who has one of everything, and Ann, who wants it.

`ENTRIES` says of every served call what asks for Bob's things. A call without an entry fails the tests that use them.
"""

import base64
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf.json_format import ParseDict
from sqlalchemy import insert, select

from luthier import rpcs
from luthier.api.auth import Credentials
from luthier.api.dispatch import Answer, Dispatcher, find
from luthier.predictors.client import PredictorsClient
from luthier.settings import Settings
from luthier.store import imports, inputs, tables, tokens, versions
from luthier.store.blobs import Blobs
from luthier.store.database import Database, now
from luthier.store.migrations import migrate
from luthier.wire.methods import BY_NAME, METHODS, Method
from tests.rpcs.pictures import picture

JSON = Mapping[str, Any]

MARK = "bobs-own-words"  # stands in everything that Bob has
BOB, ANN = "bob", "ann"
THEIRS, SECOND, MINE = "theirs", "second", "mine"  # two apps of Bob's, one of Ann's
SERVED = [method for method in METHODS if find(method.name, rpcs.MODULES) and not method.streaming]

NOTE = {"note": MARK}


def labelled(id: str, concept: str, colour: int = 0, **data: Any) -> JSON:
    """An Input of four by three pixels that shows the concept."""
    pixels = base64.b64encode(picture(colour=colour)).decode()
    return {"id": id, "data": {"image": {"base64": pixels}, "concepts": [{"id": concept, "value": 1}], **data}}


@dataclass(frozen=True)
class Entry:
    """`asks` is the request without user_app_id, `owner` the code Bob gets; `app` is False for things of a user."""

    asks: JSON = field(default_factory=dict)
    owner: int = 10000
    app: bool = True
    catalog: bool = False  # the same for everyone, whatever is named


INPUT, OTHER = {"id": "i1"}, {"id": "other-input"}
IMAGE = labelled("i2", "cat", 9)
DOG = {"input_id": "i1", "data": {"concepts": [{"id": "dog", "value": 1}]}}
VERSION = {"model_id": "m", "version_id": "v"}
TRAINING = {
    "train_info": {"params": {"template": "luthier_tiny_resnet", "dataset_id": "d"}},
    "output_info": {"data": {"concepts": [{"id": "cat"}, {"id": "dog"}]}},
}
FROZEN = {"dataset_id": "d", "dataset_version_id": "dv"}

ENTRIES: dict[str, Entry] = {
    # users, keys, apps
    "GetUser": Entry(app=False),
    "MyScopes": Entry(),
    "MyScopesUser": Entry(app=False),
    "ListScopes": Entry(app=False),
    "ListKeys": Entry(app=False),
    "ListAppKeys": Entry(),
    "PostKeys": Entry({"keys": [{"scopes": ["Predict"], "apps": [{"id": THEIRS, "user_id": BOB}]}]}, app=False),
    "DeleteKey": Entry({"key_id": "filled in by the test"}, app=False),
    "PostApps": Entry({"apps": [{"id": "third"}]}, app=False),
    "GetApp": Entry(),
    "ListApps": Entry(app=False),
    "PatchApps": Entry({"action": "merge", "apps": [{"id": THEIRS, "description": "new"}]}, app=False),
    "PatchApp": Entry({"action": "merge", "app": {"description": "new"}}),
    "DeleteApp": Entry(),
    "GetResourceCounts": Entry(),
    # concepts
    "PostConcepts": Entry({"concepts": [{"id": "cow"}]}),
    "GetConcept": Entry({"concept_id": "cat"}),
    "ListConcepts": Entry(),
    "PatchConcepts": Entry({"action": "merge", "concepts": [{"id": "cat", "name": "new"}]}),
    "PostConceptsSearches": Entry({"concept_query": {"name": "ca*"}}),
    "GetConceptCounts": Entry(),
    # inputs
    "PostInputs": Entry({"inputs": [IMAGE]}),
    "GetInput": Entry({"input_id": "i1"}),
    "ListInputs": Entry(),
    "StreamInputs": Entry(),
    "PatchInputs": Entry({"action": "merge", "inputs": [{"id": "i1", "data": {"metadata": {"a": 1}}}]}),
    "DeleteInput": Entry({"input_id": "i1"}),
    "DeleteInputs": Entry({"ids": ["i1"]}),
    "GetInputCount": Entry(),
    "PostInputsSearches": Entry({"searches": [{"query": {"filters": [{"annotation": {"data": {"metadata": NOTE}}}]}}]}),
    "ListInputsAddJobs": Entry(),
    "GetInputsAddJob": Entry({"id": "job"}),
    "CancelInputsAddJob": Entry({"id": "job"}),
    # uploads
    "PostUploads": Entry({"uploads": [{"id": "other", "content_name": "a.csv", "content_length": 9}]}),
    "PutUploadContentParts": Entry({"upload_id": "half", "content_parts": [{"range_start": 1, "data": "Yg=="}]}),
    "GetUpload": Entry({"upload_id": "u"}),
    "ListUploads": Entry(),
    "DeleteUploads": Entry({"ids": ["u"]}),
    "PostInputsUploads": Entry({"inputs_uploads": [{"upload": {"id": "u"}}]}),
    "PostInputsDataSources": Entry(owner=10040),
    "ImportUpload": Entry({"upload_id": "u"}),
    "ListImportItems": Entry({"inputs_add_job_id": "imported"}),
    "GetInputsExtractionJob": Entry({"inputs_extraction_job_id": "extraction"}),
    "ListInputsExtractionJobs": Entry(),
    "CancelInputsExtractionJobs": Entry({"ids": ["extraction"]}),
    # annotations
    "PostAnnotations": Entry({"annotations": [DOG]}),
    "GetAnnotation": Entry({"input_id": "i1", "annotation_id": "a"}),
    "ListAnnotations": Entry({"input_ids": ["i1"], "list_all_annotations": True}),
    "PatchAnnotations": Entry({"action": "merge", "annotations": [{**DOG, "id": "a"}]}),
    "PostAnnotationsSearches": Entry({"searches": [{"query": {"filters": [{"annotation": {"id": "a"}}]}}]}),
    "DeleteAnnotation": Entry({"input_id": "i1", "annotation_id": "a"}),
    "DeleteAnnotations": Entry({"input_ids": ["i1"], "ids": ["a"]}),
    # datasets
    "PostDatasets": Entry({"datasets": [{"id": "other"}]}),
    "GetDataset": Entry({"dataset_id": "d"}),
    "ListDatasets": Entry(),
    "PatchDatasets": Entry({"action": "merge", "datasets": [{"id": "d", "description": "new"}]}),
    "DeleteDatasets": Entry({"dataset_ids": ["d"]}),
    "PostDatasetInputs": Entry({"dataset_id": "d", "dataset_inputs": [{"input": INPUT}]}),
    "ListDatasetInputs": Entry({"dataset_id": "d"}),
    "GetDatasetInput": Entry({"dataset_id": "d", "input_id": "i1"}),
    "DeleteDatasetInputs": Entry({"dataset_id": "d", "input_ids": ["i1"]}),
    "PostDatasetVersions": Entry({"dataset_id": "d", "dataset_versions": [{"id": "another"}]}),
    "GetDatasetVersion": Entry(FROZEN),
    "ListDatasetVersions": Entry({"dataset_id": "d"}),
    "PatchDatasetVersions": Entry(
        {"action": "merge", "dataset_id": "d", "dataset_versions": [{"id": "dv", "description": "new"}]}
    ),
    "DeleteDatasetVersions": Entry({"dataset_id": "d", "dataset_version_ids": ["dv"]}),
    "ListDatasetVersionMetricsGroups": Entry(FROZEN),
    "PutDatasetVersionExports": Entry({**FROZEN, "exports": [{"format": 1}]}),
    # model types and models
    "ListModelTypes": Entry(catalog=True),
    "GetModelType": Entry({"model_type_id": "visual-classifier"}, catalog=True),
    "PostModels": Entry({"models": [{"id": "other", "model_type_id": "visual-classifier"}]}),
    "GetModel": Entry(VERSION),
    "GetModelOutputInfo": Entry(VERSION),
    "ListModels": Entry(),
    "PostModelsSearches": Entry({"model_query": {"name": "*"}}),
    "PatchModels": Entry({"action": "merge", "models": [{"id": "m", "notes": "new"}]}),
    "DeleteModel": Entry({"model_id": "m"}),
    "DeleteModels": Entry({"ids": ["m"]}),
    "ListModelConcepts": Entry(VERSION),
    "ListModelInputs": Entry(VERSION),
    # model versions
    "PostModelVersions": Entry({"model_id": "m", "model_versions": [TRAINING]}),
    "PostModelVersionsTrainingTimeEstimate": Entry(
        {"model_id": "m", "model_versions": [TRAINING], "estimated_input_count": 10}
    ),
    "GetModelVersion": Entry(VERSION),
    "ListModelVersions": Entry({"model_id": "m"}),
    "PatchModelVersions": Entry(
        {"action": "merge", "model_id": "m", "model_versions": [{"id": "v", "description": "new"}]}
    ),
    "DeleteModelVersion": Entry(VERSION),
    "CancelModelVersion": Entry(VERSION),
    "PostModelOutputs": Entry({**VERSION, "inputs": [IMAGE]}, owner=21102),
    "ListLogEntries": Entry({"model_id": "m", "model_version_id": "v", "log_type": "training"}),
    # the wire's own
    "ListStatusCodes": Entry(catalog=True),
    "GetStatusCode": Entry({"status_code_id": "10000"}, catalog=True),
}


class World:
    """A database and a dispatcher on it. `copy` gives another (of SQLite) that starts from the same rows."""

    def __init__(self, settings: Settings, blobs: Blobs, database: Database) -> None:
        self._settings, self._blobs, self.database = settings, blobs, database
        predictors = PredictorsClient(settings.predictors_socket)
        self.dispatcher = Dispatcher(self.database, blobs, predictors, settings, rpcs.MODULES)
        self._addresses = 0

    def copy(self, file: Path) -> "World":
        with self.database.read() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        shutil.copy(self._settings.database_file, file)
        return World(self._settings, self._blobs, Database.at(file))

    def ask(self, method: Method, request: Any, authorization: str | None) -> Answer:
        """Each from an address of its own, so that wrong tokens are judged and not counted."""
        self._addresses += 1
        return self.dispatcher.answer(method, request, Credentials(authorization, f"address {self._addresses}"))

    def rows(self) -> set[tuple[str, str]]:
        """Every row of every table but Ann's own app, as text."""
        with self.database.read() as connection:
            return {
                (table.name, repr(tuple(row)))
                for table in tables.metadata.sorted_tables
                for row in connection.execute(select(table))
                if not (table is tables.apps and row.id == MINE)
            }


def request_of(method: Method, entry: Entry, user_id: str, app_id: str, **more: Any) -> Any:
    asks: dict[str, Any] = {**entry.asks, **more}
    if "user_app_id" in method.request.DESCRIPTOR.fields_by_name:
        asks["user_app_id"] = {"user_id": user_id, "app_id": app_id if entry.app else ""}
    return ParseDict(asks, method.request())


def _import(world: World) -> None:
    """A finished one, whose job is `imported`."""
    with world.database.write() as connection:
        app = connection.execute(select(tables.apps.c.seq).where(tables.apps.c.id == THEIRS)).scalar_one()
        job = inputs.input_job(connection, app, "imported")
        made = imports.add(connection, app, "extraction", job.seq, None, imports.Request(content_name=MARK))
        imports.add_items(connection, made.seq, [imports.Item(1, MARK, "", 30101, MARK)], made=0, present=0)


def make_world(folder: Path, database_url: str = "") -> tuple[World, dict[str, str]]:
    """The world with everything of Bob's in it, and both users' tokens for everything."""
    settings = Settings(data_dir=folder, disk_reserve_mb=1, database_url=database_url)
    world = World(settings, Blobs(settings.blobs_folder, 1), Database.of(settings))
    migrate(world.database)
    seqs, keys = {}, {}
    for id in (BOB, ANN):
        with world.database.write() as connection:
            row = connection.execute(insert(tables.users).values(id=id, message=b"", created_at=now()))
            seqs[id] = int(row.inserted_primary_key[0])
            keys[id] = tokens.make(connection, seqs[id], description=MARK if id == BOB else "", scopes=["All"])[0]
            keys[f"{id}'s other key"] = tokens.make(connection, seqs[id], description="", scopes=["Predict"])[1]

    def done(name: str, user: str, app: str, **asks: Any) -> None:
        method = BY_NAME[name]
        answer = world.ask(method, request_of(method, Entry(), user, app, **asks), f"Key {keys[user]}")
        assert answer.code == 10000, (name, answer.message)

    done("PostApps", BOB, "", apps=[{"id": THEIRS, "description": MARK, "metadata": NOTE}, {"id": SECOND}])
    done("PostApps", ANN, "", apps=[{"id": MINE}])
    done("PostConcepts", BOB, THEIRS, concepts=[{"id": "cat", "name": MARK}, {"id": "dog", "name": MARK}])
    done(
        "PostInputs",
        BOB,
        THEIRS,
        inputs=[labelled("i1", "cat", metadata=NOTE), labelled("other-input", "dog", 1, metadata=NOTE)],
        inputs_add_job_id="job",
    )
    done("PostAnnotations", BOB, THEIRS, annotations=[{**DOG, "id": "a", "annotation_info": NOTE}])
    done("PostDatasets", BOB, THEIRS, datasets=[{"id": "d", "description": MARK, "metadata": NOTE}])
    done(
        "PostDatasetInputs",
        BOB,
        THEIRS,
        dataset_id="d",
        dataset_inputs=[{"input": INPUT}, {"input": {"id": "other-input"}}],
    )
    done("PostDatasetVersions", BOB, THEIRS, dataset_id="d", dataset_versions=[{"id": "dv", "description": MARK}])
    sizes = {"u": 1, "half": 2}
    done(
        "PostUploads",
        BOB,
        THEIRS,
        uploads=[{"id": id, "content_name": f"{MARK}.csv", "content_length": size} for id, size in sizes.items()],
    )
    for id in sizes:
        done("PutUploadContentParts", BOB, THEIRS, upload_id=id, content_parts=[{"data": "YQ=="}])
    _import(world)
    done("PostModels", BOB, THEIRS, models=[{"id": "m", "model_type_id": "visual-classifier", "notes": MARK}])
    with world.database.write() as connection:
        model = connection.execute(select(tables.models.c.seq).where(tables.models.c.id == "m")).scalar_one()
        versions.create(connection, model, "v", b"")
    return world, keys
