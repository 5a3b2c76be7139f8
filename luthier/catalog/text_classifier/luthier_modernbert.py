"""ModernBERT base (Warner et al. 2024), an encoder of long texts; all but its words learns; wants a GPU or patience."""

from luthier.catalog import cost, text_translation, text_vocabulary, vocabulary
from luthier.catalog.template import Template

TEMPLATE = Template(
    id="luthier_modernbert",
    model_type="text-classifier",
    description="ModernBERT base, a strong encoder of texts of up to 8192 tokens; all but its word embeddings learns",
    recipe="text_classification",
    backbone="transformers/modernbert",
    weights=text_vocabulary.from_hub("answerdotai/ModernBERT-base"),
    plan=text_translation.encoder_plan,
    strategies=True,
    gflops=cost.of_language_model(110.1),
    parameters_m=149.0,
    hyperparameters=(
        vocabulary.seed(),
        vocabulary.num_gpus(),
        text_vocabulary.max_tokens(512),
        vocabulary.batch_size(16, most=1024),
        vocabulary.num_epochs(3, most=200),
        vocabulary.learning_rate(1e-3),
        vocabulary.backbone_learning_rate_multiplier(0.05),
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
