"""The calls that clients and guides make are served; a call that goes missing is named here, not by a user."""

import pytest

from tests.api.world import SERVED

# By what they are about. Evaluations, workflows and exports of models are not served yet.
PROMISED = """
    GetUser MyScopes MyScopesUser ListScopes ListKeys PostKeys DeleteKey ListAppKeys
    PostApps GetApp ListApps DeleteApp PatchApps PatchApp GetResourceCounts
    ListConcepts PostConcepts GetConcept PatchConcepts PostConceptsSearches GetConceptCounts
    PostInputs GetInputsAddJob ListInputs GetInput PatchInputs DeleteInputs DeleteInput GetInputCount StreamInputs
    PostInputsSearches PostUploads PutUploadContentParts GetUpload PostInputsUploads ListInputsAddJobs
    CancelInputsAddJob
    PostAnnotations ListAnnotations GetAnnotation PatchAnnotations DeleteAnnotation DeleteAnnotations
    PostAnnotationsSearches
    PostDatasets GetDataset ListDatasets PatchDatasets DeleteDatasets PostDatasetInputs ListDatasetInputs
    GetDatasetInput DeleteDatasetInputs PostDatasetVersions ListDatasetVersions GetDatasetVersion PatchDatasetVersions
    DeleteDatasetVersions ListDatasetVersionMetricsGroups PutDatasetVersionExports
    ListModelTypes GetModelType PostModels GetModel ListModels PatchModels DeleteModels DeleteModel
    GetModelOutputInfo ListModelConcepts ListModelInputs
    PostModelVersions PostModelVersionsTrainingTimeEstimate GetModelVersion ListModelVersions PatchModelVersions
    DeleteModelVersion CancelModelVersion ListLogEntries PostModelOutputs
    ListStatusCodes GetStatusCode
"""


@pytest.mark.parametrize("name", PROMISED.split())
def test_it_is_served(name: str) -> None:
    assert name in {method.name for method in SERVED}
