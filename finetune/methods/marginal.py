"""The marginal likelihood of an answer over several passages, in pure functions."""

from collections.abc import Sequence

import torch

from finetune.completed import Completed


def marginal_loss(found: torch.Tensor, answered: torch.Tensor) -> torch.Tensor:
    """Return -log sum_z p(z|x) p(y|x,z), of the logarithms of both, each of shape (passages,)."""
    return -torch.logsumexp(found + answered, dim=-1)


def answer_likelihood(
    model: torch.nn.Module, told: Sequence[Completed], *, pad: int
) -> torch.Tensor:
    """Return log p(answer | prompt) of each, the sum over the answer's tokens, shape (told,).

    The rows are padded on the left, so that all answers stand at the end, and the vocabulary is
    projected there alone.
    """
    device = next(model.parameters()).device
    longest = max(map(len, told))
    ids = torch.full((len(told), longest), pad)
    mask = torch.zeros_like(ids)
    for row, each in enumerate(told):
        ids[row, longest - len(each) :] = torch.tensor(each.ids)
        mask[row, longest - len(each) :] = 1
    ids, mask = ids.to(device), mask.to(device)
    last = max(len(each.completion_ids) for each in told)
    outputs = model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=(mask.cumsum(dim=1) - 1).clamp(min=0),
        use_cache=False,
        logits_to_keep=last + 1,
    )
    shares = outputs.logits[:, :-1].float().log_softmax(dim=-1)
    likely = shares.gather(-1, ids[:, -last:, None]).squeeze(-1)
    lengths = torch.tensor([len(each.completion_ids) for each in told], device=device)
    own = torch.arange(last, device=device) >= last - lengths[:, None]
    return likely.masked_fill(~own, 0.0).sum(dim=1)
