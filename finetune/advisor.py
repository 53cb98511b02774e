"""Advisor: a situation becomes an advice, by rules that are read from top to bottom.

The flow is that of domain adaptation: which behaviour is wanted, what there is to learn it from,
from where one starts, how much better it must become, and what may be forgotten.
"""

from dataclasses import replace

from finetune.amounts import rounded
from finetune.choosing import Planned, choose
from finetune.judgements import PLENTY, from_preferences, from_rewards
from finetune.situation import Advice, Behaviour, FoundKind, Reason, Situation

SHOWN = 50
"""Examples below which a prompt that shows them does as well as a tuning; so few are memorised."""

READ = 1_000_000
"""Tokens of text below which continued pre-training teaches a model no language."""

REPEATED = 0.1
"""The share of duplicates above which they are to be removed first."""

EXAMPLES: tuple[FoundKind, ...] = ("conversation", "instruction")


def advise(situation: Situation) -> Advice:
    """Say what to do, with which model, in which order, and why."""
    situation = _with_a_goal(situation)
    reasons: list[Reason] = []
    cautions = list(_about_the_rows(situation))
    retrieve = _retrieves(situation, reasons)
    planned: list[Planned] = []
    planned += _from_text(situation, reasons, cautions)
    examples, few_shot = _from_examples(situation, reasons, cautions)
    planned += examples
    planned += from_preferences(situation, planned, reasons, cautions)
    planned += from_rewards(situation, reasons, cautions)
    if not (retrieve or few_shot or planned):
        few_shot = True
        reasons.append(_nothing_to_learn_from(situation))
    choice = choose(situation, planned)
    return Advice(
        retrieve=retrieve,
        few_shot=few_shot,
        model=choice.model,
        licence=choice.licence,
        stages=choice.stages,
        between=choice.between,
        reasons=(*reasons, *choice.reasons),
        cautions=(*cautions, *choice.cautions),
        device_memory=situation.hardware.device_memory,
    )


def _with_a_goal(situation: Situation) -> Situation:
    """Take the goal from the rows where the words name none."""
    if situation.goal.behaviour != "unclear":
        return situation
    meant: tuple[tuple[Behaviour, tuple[FoundKind, ...]], ...] = (
        ("preference", ("pair", "ranking", "label")),
        ("task", EXAMPLES),
        ("reward", ("prompt",)),
        ("facts", ("document", "text")),
    )
    for behaviour, kinds in meant:
        if situation.rows(*kinds):
            return replace(situation, goal=replace(situation.goal, behaviour=behaviour))
    return situation


def _retrieves(situation: Situation, reasons: list[Reason]) -> bool:
    """Facts belong in an index: they can be cited there, and changed without a training."""
    documents = situation.of("document", "text")
    if situation.goal.behaviour == "facts" and documents:
        reasons.append(
            Reason(
                "facts-belong-in-an-index",
                "retrieve: a searched passage can be cited and corrected, a trained one cannot",
                f"the goal is to know what stands in {situation.count('document', 'text')}",
            )
        )
        return True
    if situation.goal.behaviour == "facts":
        reasons.append(
            Reason(
                "facts-without-documents",
                "retrieve: agentlab ingest the documents that hold the facts, or ask the web",
                "the goal is to know facts, and there are no documents",
            )
        )
        return True
    if situation.of("document") and situation.goal.behaviour in ("tools", "task"):
        reasons.append(
            Reason(
                "documents-are-searched",
                "retrieve: the model is to work with documents, not to learn them by heart",
                situation.count("document"),
            )
        )
        return True
    return False


def _from_text(
    situation: Situation, reasons: list[Reason], cautions: list[Reason]
) -> list[Planned]:
    """Plain text teaches the language of a field, if there is enough of it."""
    if situation.goal.behaviour != "language":
        return []
    texts, tokens = situation.of("text"), situation.tokens("text")
    if tokens >= READ:
        reasons.append(
            Reason(
                "much-text",
                "cpt first: the words and turns of a field come from reading much of it",
                f"{situation.count('text')}, about {rounded(tokens)} tokens",
            )
        )
        if situation.rows(*EXAMPLES) < SHOWN:
            cautions.append(
                Reason(
                    "reading-unlearns-answering",
                    f"collect {SHOWN} or more conversations for an sft stage after cpt: "
                    "reading alone weakens the following of instructions",
                    situation.count(*EXAMPLES),
                )
            )
        return [("cpt", texts)]
    cautions.append(
        Reason(
            "too-little-text",
            f"no cpt: below {rounded(READ)} tokens of plain text a model learns passages, not a "
            "language",
            f"about {rounded(tokens)} tokens of plain text",
        )
    )
    return []


def _from_examples(
    situation: Situation, reasons: list[Reason], cautions: list[Reason]
) -> tuple[list[Planned], bool]:
    """Examples of the task done right: shown in the prompt if few, learned if many."""
    rows, uplift = situation.rows(*EXAMPLES), situation.goal.uplift
    fact = situation.count(*EXAMPLES)
    if situation.goal.behaviour == "facts" and rows and uplift == "some":
        reasons.append(
            Reason(
                "retrieval-suffices",
                "no sft: with the right passage in the prompt the model as it is answers",
                "only some uplift is wanted",
            )
        )
        return [], False
    if 0 < rows < SHOWN:
        reasons.append(
            Reason(
                "few-examples",
                f"show them in the prompt: fewer than {SHOWN} are learned by heart",
                fact,
            )
        )
        return [], True
    if SHOWN <= rows < PLENTY and uplift == "some":
        reasons.append(
            Reason(
                "small-uplift",
                "show a few in the prompt: it costs nothing, and some uplift is all that is wanted",
                f"{fact}, some uplift wanted",
            )
        )
        return [], True
    if not rows:
        if situation.goal.behaviour in ("task", "tools"):
            cautions.append(
                Reason(
                    "no-examples",
                    f"collect {SHOWN} to {PLENTY} conversations that do the task right (agentlab "
                    "data synthesise makes some of documents)",
                    "no conversations or instructions",
                )
            )
        return [], False
    says = "sft: learn what the assistant writes in them"
    if any(each.tool_calls for each in situation.of(*EXAMPLES)):
        says = "sft: learn the tool calls and answers in them"
    reasons.append(Reason("examples", says, fact))
    if rows < PLENTY:
        cautions.append(
            Reason(
                "more-examples",
                f"{PLENTY} or more would make it surer; hold some out with --eval-data",
                fact,
            )
        )
    return [("sft", situation.of(*EXAMPLES))], False


def _nothing_to_learn_from(situation: Situation) -> Reason:
    return Reason(
        "nothing-to-learn-from",
        "describe the task in the prompt, with an example or two; keep what works (the journal "
        "does), and ask again",
        situation.count() if situation.found else "no data",
    )


def _about_the_rows(situation: Situation) -> list[Reason]:
    """Say what is wrong with the rows, and what other rows are good for."""
    said: list[Reason] = []
    for each in situation.found:
        if each.rows and each.duplicates > REPEATED * each.rows:
            says = "agentlab data curate first: what stands there often is learned by heart"
            fact = f"{each.duplicates} of {each.rows} {each.kind} rows are duplicates"
            said.append(Reason("duplicates", says, fact))
        if each.faults:
            says = "agentlab data check names them: a training refuses the file"
            said.append(Reason("broken-rows", says, f"{each.faults} rows cannot be read"))
        if each.kind in ("question", "route"):
            name = "reader" if each.kind == "question" else "router"
            says = f"agentlab finetune {name} learns from these rows; a language model does not"
            said.append(Reason(f"rows-of-a-{name}", says, f"{each.rows} {each.kind} rows"))
    return said
