"""Fields that several model types share, in the wire's words. Next: `model_type`, whose `Field` they are."""

from luthier.catalog.model_type import Field

DATASET = Field(
    path="train_info.params.dataset_id",
    kind="DATASET_ID",
    description="Dataset to train on; none: every input of the app that carries one of the concepts",
)
DATASET_VERSION = Field(
    path="train_info.params.dataset_version_id",
    kind="DATASET_VERSION_ID",
    description="Frozen version of the dataset; none: one is made when training begins",
)
CONCEPTS = Field(
    path="output_info.data.concepts",
    kind="ARRAY_OF_CONCEPTS",
    required=True,
    description="Concepts of the app that the model learns",
)
INVALID_DATA_TOLERANCE = Field(
    path="train_info.params.invalid_data_tolerance_percent",
    kind="RANGE",
    default=5.0,
    min=0,
    max=100,
    step=1,
    description="Percentage of inputs that may turn out unusable before training is refused",
)
REPLAY = Field(
    path="train_info.params.replay_percent",
    kind="RANGE",
    default=0.0,
    min=0,
    max=100,
    step=1,
    description="Percentage of the training data of resume_from_model that is mixed in, so that less is forgotten",
)
TEMPLATE = Field(
    path="train_info.params.template",
    kind="RECURSIVE_ENUM",
    required=True,
    description="Recipe to train by; each brings its own hyperparameters",
)
MAX_CONCEPTS = Field(
    path="output_info.params.max_concepts",
    kind="NUMBER",
    default=20,
    description="Most concepts that a prediction returns",
)
MIN_VALUE = Field(
    path="output_info.params.min_value",
    kind="NUMBER",
    default=0,
    description="Concepts below this value are left out of a prediction",
)
SELECT_CONCEPTS = Field(
    path="output_info.params.select_concepts",
    kind="ARRAY_OF_MODEL_CONCEPTS",
    default=(),
    description="Only these concepts are returned by a prediction; none: all",
)

TRAINING = (DATASET, DATASET_VERSION, CONCEPTS, INVALID_DATA_TOLERANCE, REPLAY, TEMPLATE)
