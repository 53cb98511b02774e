"""The tree of finetune's errors.

FinetuneError
|-- ConfigError        a recipe or an override that cannot be trained with (ValueError)
|-- ExampleError       a row or a text that cannot be learned from or measured on (ValueError)
|-- TemplateError      a chat template that cannot mark what to learn (ValueError)
|-- ModelError         a base model or an adapter that cannot be loaded (ValueError)
|-- ConversionError    an adapter that cannot be brought into another form (ValueError)
|-- MissingPackageError     an optional package is not installed (ImportError)
|-- RunExistsError          the result folder already holds a run (FileExistsError)
|-- RunChangedError         a run is to be continued with other data or settings (ValueError)
|-- RunBusyError            another process works in the folder (BlockingIOError)
|-- WorkerError           one of the processes of a run ended by itself (RuntimeError)
|-- OutOfMemoryError  the device has too little memory for the run (MemoryError)
|-- DivergedError   the loss is no number any more (ArithmeticError)
|-- CollapsedError  the rewards or the policy left all reason (ArithmeticError)
`-- StoppedError    the person stopped the run, which can be continued (KeyboardInterrupt)
"""


class FinetuneError(Exception):
    """Everything that finetune raises on purpose."""


class ConfigError(FinetuneError, ValueError):
    """A recipe or an override cannot be trained with."""


class ExampleError(FinetuneError, ValueError):
    """A row or a text cannot be learned from or measured on."""


class TemplateError(FinetuneError, ValueError):
    """The chat template cannot say which tokens the assistant writes."""


class ModelError(FinetuneError, ValueError):
    """A base model or an adapter cannot be loaded."""


class ConversionError(FinetuneError, ValueError):
    """An adapter or a model cannot be brought into another form."""


class MissingPackageError(FinetuneError, ImportError):
    """An optional package is not installed."""


class RunExistsError(FinetuneError, FileExistsError):
    """The result folder already holds a run."""


class RunChangedError(FinetuneError, ValueError):
    """A run is to be continued with other data or settings."""


class RunBusyError(FinetuneError, BlockingIOError):
    """Another process works in the folder."""


class WorkerError(FinetuneError, RuntimeError):
    """One of the processes of a run ended by itself."""


class OutOfMemoryError(FinetuneError, MemoryError):
    """The device has too little memory for the run."""


class DivergedError(FinetuneError, ArithmeticError):
    """The loss or the gradient is no finite number any more."""


class CollapsedError(FinetuneError, ArithmeticError):
    """A reward is no number, or the policy went too far from its reference."""


class StoppedError(FinetuneError, KeyboardInterrupt):
    """The person stopped the run; its checkpoint can be continued."""
