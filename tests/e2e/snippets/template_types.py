"""As in the guide: list every model type, unpaged, and print the options of each field called template."""

import os

from clarifai_grpc.channel.clarifai_channel import ClarifaiChannel
from clarifai_grpc.grpc.api import resources_pb2, service_pb2, service_pb2_grpc
from clarifai_grpc.grpc.api.status import status_code_pb2

stub = service_pb2_grpc.V2Stub(ClarifaiChannel.get_grpc_channel())
metadata = (("authorization", "Key " + os.environ["PAT"]),)
user_app_id = resources_pb2.UserAppIDSet(user_id=os.environ["USER_ID"], app_id=os.environ["APP_ID"])

answer = stub.ListModelTypes(service_pb2.ListModelTypesRequest(user_app_id=user_app_id), metadata=metadata)
if answer.status.code != status_code_pb2.SUCCESS:
    raise SystemExit("List model types failed, status: " + answer.status.description)
for model_type in answer.model_types:
    for field in model_type.model_type_fields:
        if field.path.split(".")[-1] == "template":
            print(model_type.id, field.model_type_enum_options)
