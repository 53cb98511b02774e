import math

import pytest
import torch

from finetune.methods.ppo_loss import (
    adapted_coefficient,
    advantages_of,
    entropy,
    kl_to_earlier,
    masked_mean,
    policy_loss,
    token_log_probs,
    token_rewards,
    value_loss,
    whiten,
)

MASK = torch.tensor([[1, 1, 1], [1, 1, 0]])


def tensor(*rows: list[float]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def test_a_tokens_log_probability_is_its_logit_less_the_log_of_the_sum() -> None:
    logits = torch.tensor([[[0.0, math.log(3.0)], [math.log(9.0), 0.0]]])
    found = token_log_probs(logits, torch.tensor([[1, 1]]))
    torch.testing.assert_close(found, torch.tensor([[math.log(0.75), math.log(0.1)]]))


def test_the_entropy_is_the_log_of_two_for_an_even_coin_and_nothing_for_a_sure_one() -> None:
    logits = torch.tensor([[[5.0, 5.0], [0.0, 100.0]]])
    torch.testing.assert_close(entropy(logits), torch.tensor([[math.log(2), 0.0]]))


def test_means_and_whitening_leave_out_what_is_masked() -> None:
    values = tensor([1, 2, 3], [4, 5, 99])
    assert masked_mean(values, MASK) == 3
    # deviations -2 -1 0 1 2, variance 10 / 5 = 2
    root = math.sqrt(2)
    expected = tensor([-2 / root, -1 / root, 0], [1 / root, 2 / root, 0])
    torch.testing.assert_close(whiten(values, MASK), expected)
    assert torch.equal(whiten(torch.ones(2, 3), MASK), torch.zeros(2, 3))


def test_the_score_comes_with_an_answers_last_token_and_the_penalty_with_each() -> None:
    log_probs = tensor([-1.0, -2.0, -3.0], [-1.0, -1.0, -7.0])
    reference = tensor([-1.5, -2.0, -2.0], [-3.0, -1.0, -1.0])
    found = token_rewards(torch.tensor([2.0, -1.0]), log_probs, reference, MASK, coefficient=0.1)
    # the KL of a token: 0.5, 0, -1 and 2, 0
    torch.testing.assert_close(found, tensor([-0.05, 0.0, 0.1 + 2.0], [-0.2, -1.0, 0.0]))


def test_advantages_are_those_computed_by_hand() -> None:
    rewards = tensor([0.0, 1.0, 2.0], [1.0, 3.0, 0.0])
    values = tensor([1.0, 0.5, 2.0], [2.0, 1.0, 9.0])
    advantages, returns = advantages_of(rewards, values, MASK, gamma=0.9, lam=0.5)
    # first answer: deltas 0 + .9*.5 - 1 = -.55, 1 + .9*2 - .5 = 2.3, 2 - 2 = 0
    #   A3 = 0, A2 = 2.3 + .45*0 = 2.3, A1 = -.55 + .45*2.3 = .485
    # second: deltas 1 + .9*1 - 2 = -.1, 3 - 1 = 2: A2 = 2, A1 = -.1 + .45*2 = .8
    torch.testing.assert_close(advantages, tensor([0.485, 2.3, 0.0], [0.8, 2.0, 0.0]))
    torch.testing.assert_close(returns, tensor([1.485, 2.8, 2.0], [2.8, 3.0, 0.0]))


def test_with_lambda_one_the_returns_are_the_discounted_rewards_to_come() -> None:
    rewards, values = torch.rand(4, 7), torch.rand(4, 7)
    mask = torch.ones(4, 7)
    _, returns = advantages_of(rewards, values, mask, gamma=0.8, lam=1.0)
    expected = torch.stack(
        [sum(0.8 ** (k - t) * rewards[:, k] for k in range(t, 7)) for t in range(7)], dim=1
    )
    torch.testing.assert_close(returns, expected)


def test_the_policy_loss_clips_gains_but_never_losses() -> None:
    half, two = math.log(0.5), math.log(2.0)
    log_probs = tensor([two, half, two], [half, 0.0, 5.0])
    advantages = tensor([1.0, 1.0, -1.0], [-1.0, 3.0, 9.0])
    loss, share = policy_loss(log_probs, torch.zeros(2, 3), advantages, MASK, clip=0.2)
    # min(r A, clipped r A): 1.2 (clipped), .5, -2, -.8 (clipped), 3
    torch.testing.assert_close(loss.item(), -(1.2 + 0.5 - 2 - 0.8 + 3) / 5)
    torch.testing.assert_close(share.item(), 2 / 5)


def test_the_first_inner_step_pushes_each_token_by_its_advantage() -> None:
    log_probs = tensor([-1.0, -2.0, -0.5], [-3.0, -1.0, -9.0]).requires_grad_()
    advantages = tensor([1.0, -2.0, 0.5], [0.0, 4.0, 9.0])
    loss, share = policy_loss(log_probs, log_probs.detach(), advantages, MASK, clip=0.2)
    loss.backward()
    assert share == 0
    torch.testing.assert_close(log_probs.grad, -advantages * MASK / 5)


def test_the_value_loss_takes_the_larger_of_the_free_and_the_held_error() -> None:
    values, earlier = tensor([2.0, 0.1, 5.0]), tensor([0.0, 0.0, 0.0])
    returns, mask = tensor([2.0, 1.0, 7.0]), torch.tensor([[1, 1, 0]])
    # free errors 0 and .81; held at .5: (.5 - 2)^2 = 2.25 and .81
    found = value_loss(values, earlier, returns, mask, clip=0.5)
    torch.testing.assert_close(found.item(), 0.5 * (2.25 + 0.81) / 2)


def test_the_kl_to_the_earlier_policy_is_zero_at_home_and_never_negative() -> None:
    earlier = tensor([-1.0, -2.0, -3.0], [-1.0, -1.0, 0.0])
    assert kl_to_earlier(earlier, earlier, MASK) == 0
    moved = earlier + tensor([math.log(2), 0, 0], [0, -math.log(2), 5])
    # r - 1 - log r: 2 - 1 - log 2, and .5 - 1 + log 2
    torch.testing.assert_close(kl_to_earlier(moved, earlier, MASK).item(), 0.5 / 5)


@pytest.mark.parametrize(
    ("kl", "expected"), [(6.0, 0.2), (6.6, 0.202), (60.0, 0.204), (0.0, 0.196), (math.nan, 0.2)]
)
def test_the_coefficient_follows_the_kl_by_a_fiftieth_a_rollout_at_most(
    kl: float, expected: float
) -> None:
    assert adapted_coefficient(0.2, kl, target=6.0) == pytest.approx(expected)
