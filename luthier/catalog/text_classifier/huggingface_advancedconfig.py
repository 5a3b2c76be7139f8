"""Any model of the hub, by its name. Declared; it does not train yet."""

from luthier.catalog import cost, text_vocabulary
from luthier.catalog.template import Template

TEMPLATE = Template(
    id="HuggingFace_AdvancedConfig",
    model_type="text-classifier",
    description="Any model of the Hugging Face hub, by its name",
    aliases=("HuggingFace",),
    cannot_train=text_vocabulary.CANNOT_TRAIN,
    gflops=cost.of_language_model(108.3),
    parameters_m=108.3,
    hyperparameters=(
        text_vocabulary.model_config(
            "bert-base-cased", classifies=True, key="pretrained_model_name_or_path", torch_dtype="torch.float32"
        ),
        text_vocabulary.tokenizer_config(),
        text_vocabulary.trainer_config(num_train_epochs=1, auto_find_batch_size=True, output_dir="checkpoint"),
    ),
)
