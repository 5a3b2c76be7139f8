"""MiniLM, a small sentence encoder (Wang et al. 2020), fine-tuned but for its words; small enough for a processor."""

from luthier.catalog import cost, text_translation, text_vocabulary, vocabulary
from luthier.catalog.template import Template

TEMPLATE = Template(
    id="luthier_minilm",
    model_type="text-classifier",
    description="Small sentence encoder, fine-tuned but for its word embeddings; small enough for a processor",
    recipe="text_classification",
    backbone="transformers/bert",
    weights=text_vocabulary.from_hub("sentence-transformers/all-MiniLM-L6-v2"),
    plan=text_translation.encoder_plan,
    strategies=True,
    gflops=cost.of_language_model(10.6, tokens=64),
    parameters_m=22.7,
    recommended=True,
    hyperparameters=(
        vocabulary.seed(),
        vocabulary.num_gpus(),
        text_vocabulary.max_tokens(128),
        vocabulary.batch_size(32, most=1024),
        vocabulary.num_epochs(4, most=200),
        vocabulary.learning_rate(1e-3),
        vocabulary.backbone_learning_rate_multiplier(0.1),
        vocabulary.weight_decay(0.01),
        vocabulary.warmup_iters(100),
        vocabulary.trainable_layers(),
        text_vocabulary.learn_word_embeddings(False),
        text_vocabulary.dropout(0.1),
        vocabulary.label_smoothing(0.0),
        vocabulary.early_stopping_epochs(),
        text_vocabulary.concepts_mutually_exclusive(True),
        text_vocabulary.peft_config(classifies=True, optional=True),
    ),
)
