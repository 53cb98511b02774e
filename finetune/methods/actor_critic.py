"""ActorCritic: a policy with a value head, and the reference that the policy is held to."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import get_peft_model_state_dict, set_peft_model_state_dict
from peft.peft_model import PeftModel
from safetensors.torch import load_file, save
from torch import Tensor

from finetune.methods.ppo_loss import entropy, token_log_probs
from finetune.run_folder import write

TRAINED, REFERENCE = "default", "reference"
VALUE_WEIGHTS = "value_head.safetensors"


class ActorCritic(torch.nn.Module):
    """An adapted language model that writes, and a head that foretells what it will earn.

    The head reads the last hidden states, and begins by foretelling nothing. The reference is the
    same model with its adapter switched off, or with a frozen copy of the adapter that it began
    with: there are no second weights of the base.
    """

    def __init__(self, policy: PeftModel, *, temperature: float = 1.0) -> None:
        super().__init__()
        for module in policy.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0  # the policy is compared with itself
        self.policy, self.temperature = policy, temperature
        self.config: Any = policy.config
        self.value_head = torch.nn.Linear(self.config.get_text_config().hidden_size, 1)
        torch.nn.init.zeros_(self.value_head.weight)
        torch.nn.init.zeros_(self.value_head.bias)
        self.value_head.to(next(policy.parameters()).device)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, length: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return log-probability, entropy and value of each of the last `length` tokens.

        The value of a token is what is expected of the answer before that token is written.
        """
        positions = attention_mask.long().cumsum(-1).sub(1).clamp(min=0)
        seen = self.policy(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=positions,
            logits_to_keep=length + 1,
            output_hidden_states=True,
            use_cache=False,
        )
        logits = seen.logits[:, -length - 1 : -1].float() / self.temperature
        hidden = seen.hidden_states[-1][:, -length - 1 : -1].float()
        with torch.autocast(hidden.device.type, enabled=False):
            values = self.value_head(hidden).squeeze(-1)
        return token_log_probs(logits, input_ids[:, -length:]), entropy(logits), values

    @contextmanager
    def reference(self) -> Iterator[None]:
        """Be the reference for a while."""
        if REFERENCE not in self.policy.peft_config:
            with self.policy.disable_adapter():
                yield
            return
        self.policy.set_adapter(REFERENCE, inference_mode=True)
        try:
            yield
        finally:
            self.policy.set_adapter(TRAINED)

    def gradient_checkpointing_enable(self, **given: Any) -> None:
        """Compute the policy's layers again backwards, as the trainer asks for on a GPU."""
        self.policy.enable_input_require_grads()
        self.policy.gradient_checkpointing_enable(**given)

    def save(self, folder: Path) -> None:
        """Write the adapter that is trained, and the value head."""
        self.policy.save_pretrained(str(folder), selected_adapters=[TRAINED])
        self.save_value_head(folder)

    def save_value_head(self, folder: Path) -> None:
        """Write the value head alone."""
        state = {name: value.detach().cpu() for name, value in self.value_head.state_dict().items()}
        write(folder / VALUE_WEIGHTS, save(state, metadata={"format": "pt"}))

    def load(self, folder: Path) -> None:
        """Read what `save` wrote."""
        weights = load_file(folder / "adapter_model.safetensors")
        set_peft_model_state_dict(self.policy, weights, adapter_name=TRAINED)
        self.load_value_head(folder)

    def load_value_head(self, folder: Path) -> None:
        """Read a value head."""
        self.value_head.load_state_dict(load_file(folder / VALUE_WEIGHTS))


def keep_reference(policy: PeftModel) -> None:
    """Put a frozen copy of the policy's adapter beside it, to be the reference."""
    policy.add_adapter(REFERENCE, policy.peft_config[TRAINED])
    begun = get_peft_model_state_dict(policy, adapter_name=TRAINED, save_embedding_layers=False)
    set_peft_model_state_dict(policy, begun, adapter_name=REFERENCE)
    policy.set_requires_grad(REFERENCE, requires_grad=False)
    policy.set_adapter(TRAINED)
