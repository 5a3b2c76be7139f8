"""Datasets by the SDK: its own loaders, tables and folders in; status, versions, archives and exports out."""

import json
import os
import time
import zipfile
from pathlib import Path

from clarifai.client.user import User
from clarifai.datasets.export.inputs_annotations import DatasetExportReader
from clarifai.datasets.upload.base import ClarifaiDataLoader
from clarifai.datasets.upload.features import TextFeatures, VisualClassificationFeatures, VisualSegmentationFeatures
from clarifai.datasets.upload.loaders.coco_captions import COCOCaptionsDataLoader
from clarifai.datasets.upload.loaders.coco_detection import COCODetectionDataLoader
from clarifai.datasets.upload.loaders.imagenet_classification import ImageNetDataLoader

nap = time.sleep
time.sleep = lambda seconds: nap(min(seconds, 0.1))  # the SDK waits for seconds between its questions

DATA = Path(os.environ["DATA"])
PICTURES = sorted(str(path) for path in (DATA / "pictures").glob("*.png"))


class Loader(ClarifaiDataLoader):
    def __init__(self, task, items):
        self._task, self._items = task, items

    @property
    def task(self):
        return self._task

    def load_data(self):
        pass

    def __len__(self):
        return len(self._items)

    def __getitem__(self, index):
        return self._items[index]


user = User(user_id=os.environ["CLARIFAI_USER_ID"])
app = user.create_app(app_id="sdk-data", base_workflow="Empty")
seen = {}


def uploaded(dataset_id, loader, **options):
    """The dataset after `upload_dataset`, and what `get_upload_status` counts in it."""
    dataset = app.create_dataset(dataset_id=dataset_id)
    dataset.upload_dataset(loader, batch_size=16, get_upload_status=True, **options)
    seen[dataset_id] = dataset.get_upload_status(pre_upload=True)
    return dataset


def annotations_of(dataset):
    return list(app.inputs().list_annotations(batch_input=list(dataset.list_inputs())))


# -- loaders -----------------------------------------------------------------------------------------------------------

classes = uploaded("classes", ImageNetDataLoader(str(DATA / "imagenet")))
seen["classes_ids"] = sorted(one.id for one in classes.list_inputs())

boxes = uploaded("boxes", COCODetectionDataLoader(str(DATA / "pictures"), str(DATA / "boxes.json")))
seen["boxes_found"] = sorted(
    [one.input_id, region.data.concepts[0].id, *(round(getattr(region.region_info.bounding_box, side), 6) for side in
     ("left_col", "top_row", "right_col", "bottom_row"))]
    for one in annotations_of(boxes) for region in one.data.regions
)  # fmt: skip

uploaded("captions", COCOCaptionsDataLoader(str(DATA / "pictures"), str(DATA / "captions.json")))
uploaded("texts", Loader("text_classification", [
    TextFeatures("apt cannot fetch", ["package"], id="t1"),
    TextFeatures("Ein \"Zitat\", ein Komma\nund zwei Zeilen 😀", ["kernel", "urgent"], id="t2", metadata={"n": 1.5}),
]))  # fmt: skip
shapes = uploaded("shapes", Loader("visual_segmentation", [
    VisualSegmentationFeatures(PICTURES[0], ["leaf", "stem"],
                               [[[0.1, 0.1], [0.9, 0.1], [0.5, 0.9]], [[0.25, 0.5], [0.5, 0.5], [0.5, 1.0]]], id="s0"),
    VisualSegmentationFeatures(PICTURES[1], [], [], id="s1"),
]))  # fmt: skip
seen["shapes_found"] = sorted(
    [one.input_id, region.data.concepts[0].id, [[round(p.col, 6), round(p.row, 6)] for p in polygon.points]]
    for one in annotations_of(shapes)
    for region in one.data.regions
    for polygon in [region.region_info.polygon]
)

# -- the same ids with other pictures, and what the log then does ------------------------------------------------------

first = [
    VisualClassificationFeatures(path, ["a"], id=str(n), geo_info=[8.5, 47.4]) for n, path in enumerate(PICTURES[:3])
]
other = [VisualClassificationFeatures(path, ["b"], id=str(n)) for n, path in enumerate(PICTURES[3:6])]
again = app.create_dataset(dataset_id="again")
again.upload_dataset(Loader("visual_classification", first))
again.upload_dataset(Loader("visual_classification", first))  # the very same once more
seen["again_same"] = len(list(again.list_inputs()))
again.upload_dataset(Loader("visual_classification", other), log_warnings=True)
seen["again_refused"] = len(list(again.list_inputs()))
(log,) = Path().glob("Dataset_Upload*.log")
again.retry_upload_from_logs(str(log), Loader("visual_classification", other), retry_duplicates=True)
seen["again_retried"] = len(list(again.list_inputs()))
seen["geo"] = [one.data.geo.geo_point.longitude for one in again.list_inputs() if one.id == "again-0"]

# -- tables and folders ------------------------------------------------------------------------------------------------

table = app.create_dataset(dataset_id="table")
table.upload_from_csv(csv_path=str(DATA / "texts.csv"), input_type="text", csv_type="raw", labels=True)
table.upload_from_csv(csv_path=str(DATA / "pictures.csv"), input_type="image", csv_type="file_path", labels=True)
table.upload_from_folder(folder_path=str(DATA / "notes"), input_type="text", labels=True)
seen["table"] = sorted(
    [one.id, one.data.text.raw, sorted(concept.id for concept in one.data.concepts), dict(one.data.metadata)]
    for one in table.list_inputs()
)

# -- versions and what they hold ---------------------------------------------------------------------------------------

table.merge_dataset("boxes")
table.merge_dataset("shapes")
seen["merged"] = len(list(table.list_inputs()))
made = table.create_version(description="all of it", metadata={"split": {"train": 1}})
seen["versions"] = [[one.version.id == made.version.id, one.version.description] for one in table.list_versions()]
version = app.dataset(dataset_id="table", dataset_version_id=made.version.id)
url = version.archive_zip()
with DatasetExportReader(archive_url=url) as reader:
    seen["archive"] = sorted(
        [one.id, len(one.data.regions), sorted(concept.id for concept in one.data.concepts)] for one in reader
    )
version.export(save_path="export.zip")
with zipfile.ZipFile("export.zip") as archive:
    seen["export"] = sorted(archive.namelist())
    seen["export_texts"] = sorted(archive.read(name).decode() for name in archive.namelist() if name.endswith(".txt"))
    seen["export_boxes"] = json.loads(archive.read("all/annotations/boxes-1.json"))
seen["walked"] = sum(1 for _ in version)
seen["downloaded"] = [data.hex() for data in app.inputs().download_inputs([app.inputs().get_input("boxes-1")])]
table.delete_version(made.version.id)
seen["versions_after"] = len(list(table.list_versions()))

# -- lists and the end -------------------------------------------------------------------------------------------------

seen["datasets"] = sorted(one.id for one in app.list_datasets())
seen["apps"] = [one.id for one in user.list_apps() if one.id == "sdk-data"]
seen["all_inputs"] = sum(1 for _ in app.inputs().list_inputs())
seen["count"] = app.get_input_count()
seen["page"] = len(list(app.inputs().list_inputs(page_no=1, per_page=5)))
seen["only_texts"] = sorted(one.id for one in app.inputs().list_inputs(input_type="text"))
seen["concepts"] = sorted(one.id for one in app.list_concepts())
app.delete_dataset("table")
seen["datasets_after"] = sorted(one.id for one in app.list_datasets())
user.delete_app("sdk-data")

print(json.dumps(seen))
