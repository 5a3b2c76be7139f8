"""As in the guide: train a classifier for two epochs on every input that carries one of two concepts."""

import os

from clarifai_grpc.channel.clarifai_channel import ClarifaiChannel
from clarifai_grpc.grpc.api import resources_pb2, service_pb2, service_pb2_grpc
from clarifai_grpc.grpc.api.status import status_code_pb2
from google.protobuf.struct_pb2 import Struct

stub = service_pb2_grpc.V2Stub(ClarifaiChannel.get_grpc_channel())
metadata = (("authorization", "Key " + os.environ["PAT"]),)
user_app_id = resources_pb2.UserAppIDSet(user_id=os.environ["USER_ID"], app_id=os.environ["APP_ID"])

params = Struct()
params.update({"template": "MMClassification_ResNet_50_RSB_A1", "num_epochs": 2})
answer = stub.PostModelVersions(
    service_pb2.PostModelVersionsRequest(
        user_app_id=user_app_id,
        model_id=os.environ["MODEL_ID"],
        model_versions=[
            resources_pb2.ModelVersion(
                train_info=resources_pb2.TrainInfo(params=params),
                output_info=resources_pb2.OutputInfo(
                    data=resources_pb2.Data(
                        concepts=[resources_pb2.Concept(id="ferrari23"), resources_pb2.Concept(id="outdoors23")]
                    )
                ),
            )
        ],
    ),
    metadata=metadata,
)
print(answer)
if answer.status.code != status_code_pb2.SUCCESS:
    raise SystemExit("Post model versions failed, status: " + answer.status.description)
