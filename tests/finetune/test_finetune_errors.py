import inspect
import pickle

import pytest

from finetune import errors

ALL = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, errors.FinetuneError) and kind is not errors.FinetuneError
]


@pytest.mark.parametrize("kind", ALL)
def test_each_error_is_also_its_standard_kin_and_survives_pickling(
    kind: type[errors.FinetuneError],
) -> None:
    assert len(kind.__bases__) == 2
    copy = pickle.loads(pickle.dumps(kind("what happened")))
    assert type(copy) is kind
    assert str(copy) == "what happened"
