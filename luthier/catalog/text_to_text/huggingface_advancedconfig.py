"""Any model of the hub, by its name. Declared; it does not train yet."""

from luthier.catalog import cost, text_vocabulary
from luthier.catalog.template import Template

TEMPLATE = Template(
    id="HuggingFace_AdvancedConfig",
    model_type="text-to-text",
    description="Any model of the Hugging Face hub, by its name",
    aliases=("HuggingFace",),
    cannot_train=text_vocabulary.CANNOT_TRAIN,
    gflops=cost.of_language_model(125.2),
    parameters_m=125.2,
    hyperparameters=(
        text_vocabulary.model_config(
            "facebook/opt-125m", classifies=False, key="pretrained_model_name_or_path", torch_dtype="torch.float32"
        ),
        text_vocabulary.tokenizer_config(model_max_length=512),
        text_vocabulary.trainer_config(num_train_epochs=1, auto_find_batch_size=True, output_dir="checkpoint"),
    ),
)
