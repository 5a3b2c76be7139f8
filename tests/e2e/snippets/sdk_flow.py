"""A person's first session with the SDK: upload a folder, train, look at the log, predict, clean up."""

import json
import os
import time
from pathlib import Path

from clarifai.client.user import User

user = User(user_id=os.environ["CLARIFAI_USER_ID"])
app = user.create_app(app_id="sdk-app", base_workflow="Universal")
dataset = app.create_dataset(dataset_id="digits")
for folder in sorted(Path(os.environ["FOLDER"]).iterdir()):
    dataset.upload_from_folder(folder_path=str(folder), input_type="image", labels=True)
inputs = sum(1 for _ in dataset.list_inputs())
dataset.create_version()

model = app.create_model(model_id="reader", model_type_id="visual-classifier")
templates = model.list_training_templates()
params = model.get_params(template="luthier_tiny_resnet", save_to="params.yaml")
concepts = sorted(concept.id for concept in app.list_concepts())
model.update_params(dataset_id="digits", concepts=concepts, num_epochs=12, image_size=32)
version_id = model.train()
deadline = time.time() + 240
while True:
    status = model.training_status(version_id=version_id, training_logs=True)
    if status.code in (21100, 21106) or time.time() > deadline:
        break
    time.sleep(1)
log = Path(f"{version_id}.log").read_text()

files = sorted(Path(os.environ["FOLDER"]).glob("*/*.png"))[::30][:20]
trained = app.model(model_id="reader", model_version={"id": version_id})
by_filepath = [
    trained.predict_by_filepath(str(file), input_type="image").outputs[0].data.concepts[0].id for file in files
]
by_bytes = [trained.predict_by_bytes(file.read_bytes()).outputs[0].data.concepts[0].id for file in files]
first = next(iter(dataset.list_inputs()))
by_url = trained.predict_by_url(first.data.image.url, input_type="image").outputs[0].data.concepts[0].id
of_download = trained.predict_by_bytes(app.inputs().download_inputs([first])[0]).outputs[0].data.concepts[0].id

versions = len(list(model.list_versions()))
model.delete_version(version_id)
versions_after = len(list(model.list_versions()))
user.delete_app("sdk-app")

print(
    json.dumps(
        {
            "inputs": inputs,
            "concepts": concepts,
            "templates": templates,
            "params": params,
            "status": status.code,
            "log": log,
            "by_filepath": by_filepath,
            "by_bytes": by_bytes,
            "by_url": [by_url, of_download],
            "right_of_20": sum(file.parent.name == answer for file, answer in zip(files, by_bytes, strict=True)),
            "versions": versions,
            "versions_after_delete": versions_after,
            "apps_after": [one.id for one in user.list_apps() if one.id == "sdk-app"],
        }
    )
)
