"""Page: what `--help` says of each way to tune a language model."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Page:
    """What `--help` says of a method: what it does, what a row is, and how it is called."""

    does: str
    rows: str
    examples: tuple[str, ...]

    @property
    def epilog(self) -> str:
        """Return the rows and the examples, as typer prints them."""
        rows = "\n".join(f"  {line}" for line in self.rows.splitlines())
        examples = "\n".join(f"  agentlab finetune {line}" for line in self.examples)
        return f"\b\nRows, one a line:\n{rows}\n\n\b\nExamples:\n{examples}\n"


PAGES = {
    "cpt": Page(
        "Learn a field's words and facts from plain text.\n\n"
        "Pre-training goes on: every token is learned; texts are packed into blocks of max_length "
        "tokens.",
        '{"text": "The pump is bled before ..."}\n(or .txt and .md files, or a folder of them)',
        (
            "cpt --data manuals/ --model smollm2-135m --out adapters/field",
            "cpt --library --model smollm2-135m --out adapters/field",
            "cpt --data manuals/ --model smollm2-135m --out a --set tuner=full --set epochs=3",
        ),
    ),
    "sft": Page(
        "Learn what the assistant writes in conversations.\n\n"
        "Tool calls are learned too. Instructions with context and response become conversations "
        "by a template; rows of plain text may be mixed in, which keeps a model from forgetting "
        "how to write.",
        '{"messages": [{"role": "user", "content": "..."}, ...], "tools": [...]}\n'
        '{"instruction": "...", "context": "...", "response": "..."}',
        (
            "sft --recipe starter --data talks.jsonl --model smollm2-135m --out adapters/mine",
            "sft --recipe gpu-8gb --data talks.jsonl --out adapters/mine --resume",
            "sft --data talks.jsonl --model smollm2-135m --out a --set lora_rank=8",
            "sft --data talks.jsonl --model smollm2-135m --out c --set tuner=neural",
            "sft --data more.jsonl --model smollm2-135m --out b --set adapter=a",
        ),
    ),
    "dpo": Page(
        "Learn from pairs which of two answers is better.\n\n"
        "The reference is the model as it began. Needs a model that already answers (tune it by "
        "sft first). beta holds it to what it was.",
        '{"prompt": "...", "chosen": "the better answer", "rejected": "the worse one"}',
        (
            "dpo --data pairs.jsonl --model smollm2-135m --out adapters/better",
            "dpo --data pairs.jsonl --model smollm2-135m --out b --set adapter=a --set beta=0.2",
        ),
    ),
    "kto": Page(
        "Learn from single answers with a thumb up or down.\n\n"
        "No pairs are needed. The two kinds are balanced by their numbers unless the weights are "
        "set.",
        '{"prompt": "...", "completion": "an answer", "label": true}',
        (
            "kto --data thumbs.jsonl --model smollm2-135m --out adapters/liked",
            "kto --data thumbs.jsonl --model smollm2-135m --out b --set undesirable_weight=2",
        ),
    ),
    "orpo": Page(
        "Learn to answer and what is better, in a single stage.\n\n"
        "Takes the place of sft and dpo where all data are pairs; keeps no reference.",
        '{"prompt": "...", "chosen": "the better answer", "rejected": "the worse one"}',
        ("orpo --data pairs.jsonl --model smollm2-135m --out adapters/single",),
    ),
    "grpo": Page(
        "Let the agent act, and learn from its better tries.\n\n"
        "What is judged better than the other tries becomes likelier. The agent searches your "
        "library, and the web where the settings allow it, for every question, several times. "
        "Rewards: format, route, citation, answer, brevity; weigh them by --set "
        "rewards='{citation: 2, answer: 1}'. What the tools say is not learned.",
        '{"prompt": "a question", "answers": ["a right answer"], "route": "search_documents"}',
        ("grpo --data asked.jsonl --model smollm2-135m --out b --set adapter=adapters/mine",),
    ),
    "rag": Page(
        "Tune retriever and generator together.\n\n"
        "Both learn by the likelihood of answers from what is found. The index stays as it is: the"
        " encoder of questions learns which passages help the model, and the model to answer from "
        "them. Rows are written by mine --for rag. encoder is the embedder that the library was "
        "read with; its rate is encoder_learning_rate, 0 leaves it. The encoder of questions is "
        "written into the result's folder query_encoder. The agent embeds questions and passages "
        "alike, so it searches by it after `agentlab store reembed --embedder OUT/query_encoder`.",
        '{"question": "...", "answer": "...", "passages": [{"text": "...", "vector": "..."}, ...]}',
        (
            "mine --questions asked.jsonl --for rag --out lookups.jsonl",
            "rag --data lookups.jsonl --model smollm2-135m --out adapters/both",
            "rag --data lookups.jsonl -m smollm2-135m -o a --set passages=6 --set adapter=b",
        ),
    ),
    "reward": Page(
        "Train a model that says how good an answer is.\n\n"
        "It says so by one number, and learns from pairs, or from rankings, of which every pair "
        "counts. ppo makes a model better by it; with --eval-data its accuracy and AUC are "
        "measured. It is not served, but loaded (finetune.reward_model.load_reward).",
        '{"prompt": "...", "chosen": "the better answer", "rejected": "the worse one"}\n'
        '{"prompt": "...", "completions": ["the best", "...", "the worst"]}',
        (
            "reward --recipe reward --data pairs.jsonl --model smollm2-135m --out rewards/mine",
            "reward --recipe reward --data train.jsonl --eval-data rest.jsonl -m smollm2-135m -o r",
            "reward --data pairs.jsonl --model smollm2-135m --out r --set adapter=adapters/mine",
            "reward --data rated.jsonl --model smollm2-135m --out r --set margins=true",
        ),
    ),
    "ppo": Page(
        "Let a model answer, and learn from a reward.\n\n"
        "What the reward says is good becomes likelier. kl holds it to what it was, which is the "
        "model with its adapter switched off; a run that leaves that (kl_limit) stops. Begin from "
        "an adapter of sft: ppo makes good answers more frequent, it does not teach new ones.",
        '{"prompt": "what is asked", "gold": "what a rule may look for"}\n'
        "Rewards, one or a list in [], each rule with a weight if wanted:\n"
        "  rewards/mine                             the folder of a reward model\n"
        "  {reward: contains, text: euros}          or field: gold, a field of the row\n"
        "  {reward: length, words: 40}              the nearer the better\n"
        "  {reward: form, pattern: 'Answer: .+'}    a regular expression",
        (
            "ppo --recipe ppo --data asked.jsonl -m smollm2-135m -o a --set rewards=rewards/mine",
            "ppo --data ask.jsonl -m smollm2-135m -o b --set 'rewards={reward: length, words: 9}'",
            "ppo --data more.jsonl -m smollm2-135m -o c --set rewards=r --set adapter=a",
        ),
    ),
}

RUN_EXAMPLES = """\b
A plan:
  model: smollm2-135m      # or starter
  out: runs/mine
  between: continue        # train one adapter further, or merge it first
  stages:
    - {method: cpt, data: manuals/}
    - {method: sft, data: talks.jsonl, epochs: 2}
    - {method: dpo, data: pairs.jsonl}

\b
Examples:
  agentlab finetune run plan.yaml --dry-run
  agentlab finetune run plan.yaml          the same again goes on where it stopped
"""
