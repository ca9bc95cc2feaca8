"""The columns of a table of questions: what a question is asked about, and the answers that people gave."""

ID, TITLE, CONTEXT, QUESTION = "id", "title", "context", "question"
# Pieces of the context and the characters at which they begin; both lists are empty where there is no answer.
TEXTS, STARTS = "answer_texts", "answer_starts"
COLUMNS = (ID, TITLE, CONTEXT, QUESTION, TEXTS, STARTS)
