"""Judgement: what pairs, rankings, labels and prompts are good for, as rules of the advisor."""

from finetune.choosing import Planned
from finetune.situation import Reason, Situation

PLENTY = 500
"""Examples from which tuning is known to pay: FireAct raised Llama-2-7B from 14.8 to 26.2 on
HotpotQA with 500 trajectories (Chen et al. 2023)."""

JUDGED = 100
"""Pairs or labels from which a preference is more than noise."""

JUDGED_EACH = 20
"""Labels that there must be of the rarer kind."""

ASKED = 50
"""Prompts from which a reward has enough to compare."""


def from_preferences(
    situation: Situation, planned: list[Planned], reasons: list[Reason], cautions: list[Reason]
) -> list[Planned]:
    """Judgements: pairs and rankings before single thumbs."""
    compared, labels = situation.rows("pair", "ranking"), situation.of("label")
    thumbs = situation.rows("label")
    fact = situation.count("pair", "ranking")
    if compared >= JUDGED:
        if thumbs:
            cautions.append(
                Reason(
                    "labels-left-out",
                    "pairs tell more than thumbs: the labels are left for a kto of their own",
                    f"{fact}; {situation.count('label')}",
                )
            )
        return _from_pairs(situation, planned, reasons, fact)
    if compared:
        cautions.append(
            Reason(
                "few-preferences", f"no dpo: fewer than {JUDGED} comparisons are mostly noise", fact
            )
        )
    if not thumbs:
        return []
    good = sum(each.good for each in labels)
    rarer = min(good, sum(each.rows for each in labels) - good)
    if thumbs < JUDGED or rarer < JUDGED_EACH:
        cautions.append(
            Reason(
                "one-sided-labels" if thumbs >= JUDGED else "few-labels",
                f"no kto: it takes {JUDGED} labels, {JUDGED_EACH} of the rarer kind",
                f"{situation.count('label')}, {good} of them good",
            )
        )
        return []
    reasons.append(
        Reason(
            "thumbs",
            "kto: it learns from single answers with a thumb up or down",
            f"{situation.count('label')}, {good} of them good",
        )
    )
    return [("kto", labels)]


def _from_pairs(
    situation: Situation, planned: list[Planned], reasons: list[Reason], fact: str
) -> list[Planned]:
    pairs, prompts = situation.of("pair", "ranking"), situation.of("prompt")
    asked = situation.rows("prompt")
    wants_all = situation.goal.uplift == "best" and situation.goal.behaviour == "preference"
    if wants_all and asked >= PLENTY and situation.hardware.gpus:
        reasons.append(
            Reason(
                "prompts-to-explore",
                "reward, then ppo: the reward model judges new answers to all of the prompts",
                f"{fact}; {situation.count('prompt')}; a GPU; the best is wanted",
            )
        )
        return [("reward", pairs), ("ppo", prompts)]
    trained = any(method == "sft" for method, _ in planned)
    if situation.start and situation.start.base and not trained:
        reasons.append(
            Reason(
                "pairs-on-a-base-model",
                "orpo: one stage that teaches the answers and the preference, without a reference",
                f"{fact}; {situation.start.name} is not tuned to chat; no examples to tune it on",
            )
        )
        return [("orpo", pairs)]
    reasons.append(
        Reason(
            "pairs",
            "dpo: make the better answer likelier than the worse one, as good as PPO and simpler "
            "(61 to 57 % on TL;DR, Rafailov et al. 2023)",
            fact,
        )
    )
    return [("dpo", pairs)]


def from_rewards(
    situation: Situation, reasons: list[Reason], cautions: list[Reason]
) -> list[Planned]:
    """What a function can check is learned by trying."""
    if situation.goal.behaviour != "reward":
        return []
    rows = situation.rows("prompt")
    if rows >= ASKED:
        reasons.append(
            Reason(
                "checkable",
                "grpo: a function checks each answer, so several tries are compared",
                situation.count("prompt"),
            )
        )
        return [("grpo", situation.of("prompt"))]
    cautions.append(
        Reason(
            "few-prompts",
            f"no grpo: it takes {ASKED} prompts whose answers a function can check",
            situation.count("prompt"),
        )
    )
    return []
