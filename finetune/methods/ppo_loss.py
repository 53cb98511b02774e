"""PpoLoss: the objective of proximal policy optimisation, in pure functions of tensors.

Tensors are (answers, tokens) unless said otherwise; `mask` is 1 where an answer has a token. The
sources are Schulman et al. 2016, "High-dimensional continuous control using generalized advantage
estimation" (GAE); Schulman et al. 2017, "Proximal policy optimization algorithms" (PPO); and
Ziegler et al. 2019, "Fine-tuning language models from human preferences" (the KL penalty).
"""

import math

import torch
from torch import Tensor

ADAPTATION = 0.1
LARGEST_ERROR = 0.2
SMALLEST_DEVIATION = 1e-8


def token_log_probs(logits: Tensor, tokens: Tensor) -> Tensor:
    """Return the log-probability of each token under its logits (answers, tokens, vocabulary)."""
    logits = logits.float()
    chosen = logits.gather(-1, tokens.unsqueeze(-1)).squeeze(-1)
    return chosen - logits.logsumexp(-1)


def entropy(logits: Tensor) -> Tensor:
    """Return each position's entropy in nats, from logits (answers, tokens, vocabulary)."""
    log_probs = logits.float().log_softmax(-1)
    return -(log_probs.exp() * log_probs).sum(-1)


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Return the mean over the tokens that the mask keeps; 0 where it keeps none."""
    return (values * mask).sum() / mask.sum().clamp(min=1)


def whiten(values: Tensor, mask: Tensor) -> Tensor:
    """Shift and scale the kept tokens to mean 0 and variance 1; the others become 0."""
    centred = values - masked_mean(values, mask)
    deviation = masked_mean(centred.square(), mask).sqrt()
    return centred / deviation.clamp(min=SMALLEST_DEVIATION) * mask


def token_rewards(
    scores: Tensor, log_probs: Tensor, reference: Tensor, mask: Tensor, *, coefficient: float
) -> Tensor:
    """Return each token's reward: the penalty for leaving the reference, and the score at the end.

    The penalty is coefficient * (log p - log p_ref), which in expectation over the policy's own
    tokens is the KL divergence (Ziegler et al. 2019, equation 2). `scores` has one value an answer.
    """
    rewards = -coefficient * (log_probs - reference) * mask
    last = mask.long().sum(-1).sub(1).clamp(min=0).unsqueeze(-1)
    return rewards.scatter_add(-1, last, scores.to(rewards).unsqueeze(-1))


def advantages_of(
    rewards: Tensor, values: Tensor, mask: Tensor, *, gamma: float, lam: float
) -> tuple[Tensor, Tensor]:
    """Return the advantages by GAE, and the returns that the values are to learn.

    delta_t = r_t + gamma V_{t+1} - V_t; A_t = delta_t + gamma lam A_{t+1}; R_t = A_t + V_t
    (Schulman et al. 2016, equation 16). After an answer's last token the value is 0.
    """
    mask = mask.to(values.dtype)
    values = values * mask
    following = torch.zeros_like(values[:, 0])
    next_value = torch.zeros_like(following)
    found: list[Tensor] = []
    for at in reversed(range(values.shape[1])):
        delta = rewards[:, at] + gamma * next_value - values[:, at]
        following = (delta + gamma * lam * following) * mask[:, at]
        next_value = values[:, at]
        found.append(following)
    advantages = torch.stack(found[::-1], dim=1)
    return advantages, (advantages + values) * mask


def policy_loss(
    log_probs: Tensor, earlier: Tensor, advantages: Tensor, mask: Tensor, *, clip: float
) -> tuple[Tensor, Tensor]:
    """Return the clipped surrogate loss, and the share of tokens where the clip decides.

    -min(r A, clip(r, 1 - clip, 1 + clip) A) with r = p / p_earlier (Schulman et al. 2017,
    equation 7), averaged over tokens.
    """
    ratio = (log_probs - earlier).exp()
    free = -advantages * ratio
    clipped = -advantages * ratio.clamp(1 - clip, 1 + clip)
    share = masked_mean((clipped > free).float(), mask).detach()
    return masked_mean(torch.maximum(free, clipped), mask), share


def value_loss(
    values: Tensor, earlier: Tensor, returns: Tensor, mask: Tensor, *, clip: float
) -> Tensor:
    """Return half the squared error of the values, pessimistic about those that moved far.

    The larger of the errors of V and of V held within `clip` of its earlier value, as in the
    implementation that came with Schulman et al. 2017.
    """
    held = earlier + (values - earlier).clamp(-clip, clip)
    worse = torch.maximum((values - returns).square(), (held - returns).square())
    return 0.5 * masked_mean(worse, mask)


def kl_to_earlier(log_probs: Tensor, earlier: Tensor, mask: Tensor) -> Tensor:
    """Return the mean KL(earlier, policy) of a token, from tokens of the earlier policy.

    By the low-variance estimate r - 1 - log r, which is never negative (Schulman 2020,
    "Approximating KL divergence").
    """
    log_ratio = log_probs - earlier
    return masked_mean(log_ratio.exp() - 1 - log_ratio, mask).detach()


def adapted_coefficient(coefficient: float, kl: float, *, target: float) -> float:
    """Return the next KL coefficient: larger where the KL lies above the target, else smaller.

    beta' = beta (1 + 0.1 clip(KL / target - 1, -0.2, 0.2)) (Ziegler et al. 2019, section 2.2).
    """
    if not math.isfinite(kl):
        return coefficient
    error = max(-LARGEST_ERROR, min(LARGEST_ERROR, kl / target - 1))
    return coefficient * (1 + ADAPTATION * error)
