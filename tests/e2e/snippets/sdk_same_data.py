"""The SDK bringing in a table of texts, pictures with drawn boxes, and pictures with masks. Run by test_same_data."""

import io
import json
import os
from pathlib import Path

import numpy as np
from clarifai.client.user import User
from clarifai_grpc.grpc.api import resources_pb2
from PIL import Image

DATA = Path(os.environ["DATA"])
app = User(user_id=os.environ["CLARIFAI_USER_ID"]).create_app(app_id="by-sdk", base_workflow="Empty")
inputs = app.inputs()

app.create_dataset(dataset_id="texts").upload_from_csv(
    str(DATA / "texts.csv"), input_type="text", csv_type="raw", labels=True
)

app.create_dataset(dataset_id="boxes")
coco = json.loads((DATA / "boxes" / "annotations.json").read_text())
names = {row["id"]: row["name"] for row in coco["categories"]}
images = {row["id"]: row for row in coco["images"]}
inputs.upload_inputs(
    [
        inputs.get_input_from_file(
            row["file_name"], str(DATA / "boxes" / "images" / row["file_name"]), dataset_id="boxes"
        )
        for row in images.values()
    ]
)
drawn = []
for row in coco["annotations"]:
    image, (left, top, width, height) = images[row["image_id"]], row["bbox"]
    corners = [left, top, left + width, top + height]
    sides = [image["width"], image["height"]] * 2
    fractions = [corner / side for corner, side in zip(corners, sides, strict=True)]
    drawn.append(inputs.get_bbox_proto(image["file_name"], names[row["category_id"]], fractions))
assert inputs.upload_annotations(drawn) == []

app.create_dataset(dataset_id="masks")
classes = (DATA / "masks" / "classes.txt").read_text().split()
files = sorted((DATA / "masks" / "images").iterdir())
inputs.upload_inputs([inputs.get_input_from_file(file.name, str(file), dataset_id="masks") for file in files])
masks = []
for file in files:
    numbers = np.asarray(Image.open(DATA / "masks" / "masks" / file.name, formats=["PNG"]))
    for number in sorted(set(numbers.flat) - {0, 255}):
        png = io.BytesIO()
        Image.fromarray((numbers == number).astype(np.uint8) * 255).save(png, "PNG")
        region = resources_pb2.Region()
        region.region_info.mask.image.base64 = png.getvalue()
        region.data.concepts.add(id=classes[number], value=1.0)
        data = resources_pb2.Data(regions=[region])
        masks.append(resources_pb2.Annotation(input_id=file.name, data=data))
assert inputs.upload_annotations(masks) == []
