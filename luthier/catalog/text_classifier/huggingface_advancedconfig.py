"""Any encoder or decoder of the weights folder, by its name; learns as a whole, or by an adapter."""

from luthier.catalog import cost, text_keys, text_translation, text_vocabulary
from luthier.catalog.template import Template

TEMPLATE = Template(
    id="HuggingFace_AdvancedConfig",
    model_type="text-classifier",
    description="Any encoder or decoder of the Hugging Face hub, by its name",
    aliases=("HuggingFace",),
    recipe="text_classification",
    backbone="transformers/auto",
    weights=text_vocabulary.base_model,
    plan=text_translation.classifier_plan,
    strategies=True,
    without=text_vocabulary.SAID_IN_OBJECTS,
    gflops=cost.of_language_model(108.3),
    parameters_m=108.3,
    hyperparameters=(
        text_vocabulary.model_config(
            "bert-base-cased", classifies=True, key="pretrained_model_name_or_path", torch_dtype="torch.float32"
        ),
        text_vocabulary.tokenizer_config(),
        text_vocabulary.trainer_config(
            text_keys.output_dir(), num_train_epochs=1, auto_find_batch_size=True, output_dir="checkpoint"
        ),
        text_vocabulary.peft_config(classifies=True, optional=True),
        *text_vocabulary.beside_the_objects(),
    ),
)
