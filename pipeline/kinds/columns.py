"""Names of the columns of a task's tables."""

LABEL, INDEX = "label", "idx"
# Of questions. The last two hold lists: pieces of the context, and the characters at which they begin; both
# are empty where a question has no answer.
ID, TITLE, CONTEXT, QUESTION, TEXTS, STARTS = QUESTION_COLUMNS = (
    "id", "title", "context", "question", "answer_texts", "answer_starts",
)  # fmt: skip
# Of words with tags, beside their text and the label: from and to which of its characters each word stands.
WORD_STARTS, WORD_ENDS = "word_starts", "word_ends"
