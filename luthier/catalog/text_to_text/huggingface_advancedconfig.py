"""Any language model in the weights folder, by its name: decoders and encoder-decoders, as a whole."""

from luthier.catalog import cost, generation, text_vocabulary
from luthier.catalog.template import Template

TEMPLATE = Template(
    id="HuggingFace_AdvancedConfig",
    model_type="text-to-text",
    description="Any language model of the Hugging Face hub, by its name, trained as a whole",
    recipe="text_generation",
    backbone="transformers/any",
    weights=text_vocabulary.base_model,
    plan=generation.documented_plan,
    gflops=cost.of_language_model(125.2),
    parameters_m=125.2,
    aliases=("HuggingFace",),
    hyperparameters=(
        text_vocabulary.model_config(
            "facebook/opt-125m", classifies=False, key="pretrained_model_name_or_path", torch_dtype="torch.float32"
        ),
        text_vocabulary.tokenizer_config(model_max_length=512),
        text_vocabulary.trainer_config(num_train_epochs=1, auto_find_batch_size=True, output_dir="checkpoint"),
        *generation.beside_the_objects(),
    ),
)
