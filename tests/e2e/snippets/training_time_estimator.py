"""As in the guide: ask how long a hundred inputs would take a detector template."""

import os

from clarifai_grpc.channel.clarifai_channel import ClarifaiChannel
from clarifai_grpc.grpc.api import resources_pb2, service_pb2, service_pb2_grpc
from clarifai_grpc.grpc.api.status import status_code_pb2
from google.protobuf.struct_pb2 import Struct

stub = service_pb2_grpc.V2Stub(ClarifaiChannel.get_grpc_channel())
metadata = (("authorization", "Key " + os.environ["PAT"]),)
user_app_id = resources_pb2.UserAppIDSet(user_id=os.environ["USER_ID"], app_id=os.environ["APP_ID"])

params = Struct()
params.update({"template": "MMDetection_FasterRCNN"})
answer = stub.PostModelVersionsTrainingTimeEstimate(
    service_pb2.PostModelVersionsTrainingTimeEstimateRequest(
        user_app_id=user_app_id,
        model_id=os.environ["MODEL_ID"],
        model_versions=[resources_pb2.ModelVersion(train_info=resources_pb2.TrainInfo(params=params))],
        estimated_input_count=100,
    ),
    metadata=metadata,
)
print(answer)
if answer.status.code != status_code_pb2.SUCCESS:
    raise SystemExit("Estimate failed, status: " + answer.status.description)
