"""Synthesis: training rows made from the library's passages, each verified in its passage.

items         a question, its answer and the sentence that holds it, refused where not verbatim
sentences     items made of the sentences themselves, without any model
writing       items that a chat model writes
rows, talks   what is built of an item: question and answer, RAFT, conversations, pairs
running       passage after passage, resumable after kill -9
"""

__all__: list[str] = []
