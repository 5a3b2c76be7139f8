"""The SDK labelling a picture: boxes, polygons and a mask, changed, listed and deleted. Run by test_annotations."""

import json
import os
from pathlib import Path

from clarifai.client.user import User
from clarifai_grpc.grpc.api import resources_pb2

app = User(user_id=os.environ["CLARIFAI_USER_ID"]).create_app(app_id="by-sdk-notes", base_workflow="Empty")
inputs = app.inputs()
inputs.upload_from_bytes(input_id="rex", image_bytes=Path(os.environ["PICTURE"]).read_bytes())

box = inputs.get_bbox_proto("rex", "dog", [0.125, 0.25, 0.5, 0.75], annot_id="box")
outline = inputs.get_mask_proto("rex", "tail", [[0.1, 0.1], [0.9, 0.1], [0.5, 0.8]], annot_id="outline")
region = resources_pb2.Region()
region.region_info.mask.image.base64 = Path(os.environ["MASK"]).read_bytes()
region.data.concepts.add(id="leaf", value=1.0)
mask = resources_pb2.Annotation(id="mask", input_id="rex", data=resources_pb2.Data(regions=[region]))
assert inputs.upload_annotations([box, outline, mask]) == []

moved = inputs.get_bbox_proto("rex", "cat", [0.125, 0.25, 0.5, 1.0], annot_id="box")
inputs.patch_annotations([moved], action="overwrite")
seen = {note.id: note for note in inputs.list_annotations()}
listed = [note.id for note in inputs.list_annotations(batch_input=[resources_pb2.Input(id="rex")])]
sides = seen["box"].data.regions[0].region_info.bounding_box
inputs.delete_annotations(input_ids=["rex"], annotation_ids=["outline"])
left = sorted(note.id for note in inputs.list_annotations())
inputs.delete_annotations(input_ids=["rex"])
print(
    json.dumps(
        {
            "listed": listed,
            "box": [sides.left_col, sides.top_row, sides.right_col, sides.bottom_row],
            "concepts": {id: note.data.regions[0].data.concepts[0].id for id, note in sorted(seen.items())},
            "corners": len(seen["outline"].data.regions[0].region_info.polygon.points),
            "left": left,
            "none": [note.id for note in inputs.list_annotations()],
        }
    )
)
