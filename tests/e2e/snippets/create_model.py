"""As in the guide to deep fine-tuning: make a model, over TLS, with nothing but environment variables set."""

import os

from clarifai_grpc.channel.clarifai_channel import ClarifaiChannel
from clarifai_grpc.grpc.api import resources_pb2, service_pb2, service_pb2_grpc
from clarifai_grpc.grpc.api.status import status_code_pb2

stub = service_pb2_grpc.V2Stub(ClarifaiChannel.get_grpc_channel())
metadata = (("authorization", "Key " + os.environ["PAT"]),)
user_app_id = resources_pb2.UserAppIDSet(user_id=os.environ["USER_ID"], app_id=os.environ["APP_ID"])

answer = stub.PostModels(
    service_pb2.PostModelsRequest(
        user_app_id=user_app_id,
        models=[resources_pb2.Model(id=os.environ["MODEL_ID"], model_type_id="visual-classifier")],
    ),
    metadata=metadata,
)
print(answer)
if answer.status.code != status_code_pb2.SUCCESS:
    raise SystemExit("Post models failed, status: " + answer.status.description)
