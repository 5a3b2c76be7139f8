"""The SDK with inputs by URL: one by one, from a CSV with labels, metadata and places; listed and downloaded again."""

import csv
import hashlib
import json
import os
from pathlib import Path

from clarifai.client.user import User
from google.protobuf.json_format import MessageToDict

SITE = os.environ["SITE"]
user = User(user_id=os.environ["CLARIFAI_USER_ID"])
app = user.create_app(app_id="sdk-urls", base_workflow="Empty")
dataset = app.create_dataset(dataset_id="pictures")
inputs = app.inputs()


def table(name: str, rows: list[tuple[str, ...]]) -> str:
    with Path(name).open("w", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerow(("inputid", "input", "concepts", "metadata", "geopoints"))
        writer.writerows(rows)
    return name


pictures = [
    ("one", f"{SITE}/one.png", "cat,Not spam", "{'from': 'a', 'size': 3}", "13.5,52.25"),
    ("two", f"{SITE}/two.png?token=not-for-everyone", "dog", "", ""),
    ("redirected", f"{SITE}/redirected", "dog", "", ""),
    ("missing", f"{SITE}/missing.png", "cat", "", ""),
    ("page", f"{SITE}/page.png", "cat", "", ""),
]
dataset.upload_from_csv(table("pictures.csv", pictures), input_type="image", csv_type="url", labels=True)
texts = [("t1", f"{SITE}/text.txt", "spam", "", "")]
dataset.upload_from_csv(table("texts.csv", texts), input_type="text", csv_type="url", labels=True)
Path("own.txt").write_text("from a file of mine ✓\n", encoding="utf-8")
files = [("t2", "own.txt", "ham", "", ""), ("t3", "own.txt", "ham", "", "")]
dataset.upload_from_csv(table("files.csv", files), input_type="text", csv_type="file_path", labels=True)

job, _ = inputs.upload_from_url("single", image_url=f"{SITE}/three.png", dataset_id="pictures", labels=["cat"])
inputs._wait_for_inputs(job)  # what the bulk uploads above call for themselves
job, refused = inputs.upload_from_url("inside", image_url="http://169.254.169.254/latest/meta-data/")

found = {one.id: one for one in inputs.list_inputs()}
downloaded = {id: inputs.download_inputs([one]) for id, one in found.items()}
inputs.patch_inputs([type(one)(id=one.id, data=one.data) for one in found.values()], action="merge")
other = user.create_app(app_id="sdk-urls-2", base_workflow="Empty").inputs()
job, _ = other.upload_inputs([type(one)(id=one.id, data=one.data) for one in found.values()])
other._wait_for_inputs(job)
copies = {one.id: hashlib.sha256(other.download_inputs([one])[0]).hexdigest() for one in other.list_inputs()}
in_dataset = sorted(one.id for one in dataset.list_inputs())
kinds = {kind: sorted(one.id for one in inputs.list_inputs(input_type=kind)) for kind in ("image", "text")}
for id in ("sdk-urls", "sdk-urls-2"):
    user.delete_app(id)

print(
    json.dumps(
        {
            "inputs": {id: MessageToDict(one.data) for id, one in found.items()},
            "status": {id: one.status.code for id, one in found.items()},
            "downloaded": {id: [hashlib.sha256(data).hexdigest() for data in many] for id, many in downloaded.items()},
            "copies": copies,
            "in_dataset": in_dataset,
            "kinds": kinds,
            "refused": [one.status.code for one in refused.inputs],
        }
    )
)
