"""Worker: one of the processes that share a run; the first writes its events, a line each.

`finetune.parallel` starts these and reads the lines.
"""

import base64
import json
import os
import pickle
import sys
from pathlib import Path
from typing import Any

from finetune.method_config import load_config
from finetune.processes import company

MARK = "event "
WORLD = "world.pickle"
"""The file beside the task with what the model acts in, or None."""


def tell(item: Any) -> str:
    """Write an event or an error as one line."""
    return MARK + base64.b64encode(pickle.dumps(item)).decode()


def heard(line: str) -> Any:
    """Read a line of `tell`; None for any other line."""
    if not line.startswith(MARK):
        return None
    # What a process of our own wrote into its pipe.
    return pickle.loads(base64.b64decode(line[len(MARK) :]))  # noqa: S301


def main(task: Path) -> int:
    """Do this process's part of the run that the file describes."""
    given = json.loads(task.read_text(encoding="utf-8"))
    config = load_config(given["method"], None, given["config"])
    lines = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1, encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print is no event
    try:
        import torch
        from accelerate import PartialState

        from finetune.training import train

        PartialState(cpu=not torch.cuda.is_available())
        base = Path(given["base"]) if given["base"] else None
        world = pickle.loads((task.parent / WORLD).read_bytes())  # noqa: S301 - our own file
        for event in train(config, base=base, world=world, resume=given["resume"]):
            if company().leads:
                lines.write(tell(event) + "\n")
    except BaseException as error:
        if not company().leads:
            raise  # its traceback goes into the log
        lines.write(tell(error) + "\n")
        return 1
    finally:
        lines.close()
    return 0


if __name__ == "__main__":
    code = main(Path(sys.argv[1]))
    sys.stderr.flush()
    # Not sys.exit: it now and then destroys a thread of torch that still runs, and aborts.
    os._exit(code)
