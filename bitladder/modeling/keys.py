"""Keys of a trained model's config.json that transformers does not know. No torch."""

# How a question-answering model reads and answers: params.Answering, max_length and its threshold.
ANSWERING_KEY = "bitladder_answering"
# The kind of task, where head and number of labels do not say it.
KIND_KEY = "bitladder_kind"
# Of several labels at once, by label: the probability from which on a text has it.
THRESHOLDS_KEY = "bitladder_thresholds"
