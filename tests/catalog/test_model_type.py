"""Model types and look-ups, and what a folder of templates must keep to."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import luthier.catalog
from luthier.catalog import model_type as catalog
from luthier.errors import DoesNotExist, InvalidTrainingParams

DATASET = [
    ("train_info.params.dataset_id", "DATASET_ID", None),
    ("train_info.params.dataset_version_id", "DATASET_VERSION_ID", None),
]
CONCEPTS = [("output_info.data.concepts", "ARRAY_OF_CONCEPTS", None)]
TOLERANCE = [("train_info.params.invalid_data_tolerance_percent", "RANGE", 5.0)]
REPLAY = [("train_info.params.replay_percent", "RANGE", 0.0)]
TEMPLATE = [("train_info.params.template", "RECURSIVE_ENUM", None)]
MIN_VALUE = [("output_info.params.min_value", "NUMBER", 0)]
SELECT = [("output_info.params.select_concepts", "ARRAY_OF_MODEL_CONCEPTS", ())]
TRAINING = DATASET + CONCEPTS + TOLERANCE + REPLAY + TEMPLATE

EXPECTED = {  # id: title, inputs, outputs, evaluation, fields
    "visual-classifier": (
        "Visual Classifier", ["image"], ["concepts"], "Classification",
        [*TRAINING, ("output_info.params.max_concepts", "NUMBER", 20), *MIN_VALUE, *SELECT],
    ),
    "visual-detector": (
        "Visual Detector", ["image"], ["regions[...].data.concepts", "regions[...].region_info.bounding_box"],
        "Detection", [*TRAINING, ("output_info.params.detection_threshold", "NUMBER", 0.0)],
    ),
    "visual-segmenter": (
        "Visual Segmenter", ["image"], ["regions[...].region_info.mask", "regions[...].data.concepts"],
        "Segmentation", TRAINING,
    ),
    "visual-embedder": ("Visual Embedder", ["image"], ["embeddings"], "Undefined", TRAINING),
    "visual-anomaly-heatmap": ("Visual Anomaly", ["image"], ["heatmaps", "concepts"], "Undefined", TRAINING),
    "text-classifier": ("Text Classifier", ["text"], ["concepts"], "Classification", TRAINING + SELECT),
    "text-to-text": ("Text Generator", ["text"], ["text"], "Generation", DATASET + TOLERANCE + TEMPLATE),
    "embedding-classifier": (
        "Transfer Learn", ["embeddings"], ["concepts"], "Classification",
        [
            *DATASET, *CONCEPTS, ("train_info.params.enrich_dataset", "ENUM", "Automatic"),
            ("train_info.params.base_embed_model", "WORKFLOW_EMBED_MODELS", None),
            ("output_info.output_config.concepts_mutually_exclusive", "BOOLEAN", False), *MIN_VALUE,
        ],
    ),
    "clusterer": ("Clusterer", ["embeddings"], ["clusters"], "Clustering", []),
}  # fmt: skip


def test_all_nine_model_types_are_there_and_the_classifier_comes_first() -> None:
    assert [declared.id for declared in catalog.all_model_types()] == list(EXPECTED)


@pytest.mark.parametrize("id", EXPECTED)
def test_model_type_is_declared_as_documented(id: str) -> None:
    declared = catalog.model_type(id)
    title, inputs, outputs, evaluation, fields = EXPECTED[id]
    assert (declared.id, declared.title, declared.evaluation_type) == (id, title, evaluation)
    assert (list(declared.input_fields), list(declared.output_fields)) == (inputs, outputs)
    assert [(field.path, field.kind, field.default) for field in declared.fields] == fields
    assert declared.trainable


def test_fields_that_must_be_given_and_their_bounds() -> None:
    fields = {field.name: field for field in catalog.model_type("visual-classifier").fields}
    assert [name for name, field in fields.items() if field.required] == ["concepts", "template"]
    tolerance = fields["invalid_data_tolerance_percent"]
    assert (tolerance.min, tolerance.max, tolerance.step) == (0, 100, 1)
    enrich = next(f for f in catalog.model_type("embedding-classifier").fields if f.name == "enrich_dataset")
    assert enrich.options == ("Automatic", "Disabled")


def test_every_template_is_found_by_its_id_and_by_its_older_names() -> None:
    for template in catalog.all_templates():
        for name in (template.id, *template.aliases):
            assert catalog.find_template(template.model_type, name) is template
    assert catalog.find_template("visual-detector", "MMDetection_YOLOF").id == "MMDetection_YoloF"
    assert catalog.find_any_template("Clarifai_InceptionV2").model_type == "visual-classifier"
    assert catalog.find_any_template("MMSegmentation").id == "MMSegmentation_AdvancedConfig"


def test_a_file_holds_one_template_and_is_named_for_it() -> None:
    folder = Path(luthier.catalog.__file__).parent
    for id in catalog.MODEL_TYPE_IDS:
        files = {path.stem for path in (folder / id.replace("-", "_")).glob("*.py")} - {"__init__"}
        assert files == {template.id.lower() for template in catalog.templates_of(id)}
        assert all(template.model_type == id for template in catalog.templates_of(id))


def test_names_are_unique_within_a_model_type() -> None:
    for id in catalog.MODEL_TYPE_IDS:
        names = [name for template in catalog.templates_of(id) for name in (template.id, *template.aliases)]
        assert len(names) == len(set(names))


def test_every_template_has_what_published_clients_and_the_estimator_need() -> None:
    for template in catalog.all_templates():
        assert template.hyperparameters, f"{template.id}: a client that looks it up needs at least one field"
        assert template.description and template.gflops > 0 and template.parameters_m > 0
        assert template.gflops_for(template.defaults()) == pytest.approx(template.gflops, rel=0.02)
        assert all(parameter.description for parameter in template.hyperparameters)
        names = [parameter.name for parameter in template.hyperparameters]
        assert len(names) == len(set(names))


def test_the_left_out_template_is_not_there() -> None:
    with pytest.raises(InvalidTrainingParams):
        catalog.find_template("visual-detector", "detection_msc10")


def test_unknown_model_type_names_those_there_are() -> None:
    with pytest.raises(DoesNotExist, match="visual-classifier, visual-detector"):
        catalog.model_type("visual-clasifier")
    with pytest.raises(DoesNotExist):
        catalog.templates_of("../../etc")


def test_the_catalog_is_light_to_import() -> None:
    """The API imports it: the standard library and luthier.errors, nothing else."""
    program = (
        "import sys, json; before = set(sys.modules); from luthier.catalog import model_type, weights; "
        "model_type.all_templates(); print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in json.loads(run.stdout)}
    assert {name for name in loaded if name not in sys.stdlib_module_names} == {"luthier"}
