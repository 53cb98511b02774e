"""GGUF: a model folder as one file for llama.cpp and Ollama, by llama.cpp's own converter."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Literal

from finetune.errors import ConversionError, MissingPackageError

CONVERTER = "convert_hf_to_gguf.py"
Quantization = Literal["f32", "f16", "bf16", "q8_0"]

CHATML = """\
TEMPLATE \"\"\"{{- range .Messages }}<|im_start|>{{ .Role }}
{{ .Content }}<|im_end|>
{{ end }}<|im_start|>assistant
\"\"\"
PARAMETER stop <|im_end|>
"""


def find_converter(given: Path | None = None) -> Path:
    """Return llama.cpp's converter: the file or checkout that is given, or the one on the PATH."""
    if given is not None:
        path = given / CONVERTER if given.is_dir() else given
        if not path.is_file():
            raise ConversionError(f"{path} is no file. Give the path of llama.cpp's {CONVERTER}.")
        return path
    found = shutil.which(CONVERTER)
    if found is None:
        raise MissingPackageError(
            f"A GGUF is written by llama.cpp's {CONVERTER}, which is not on the PATH. Get it with "
            "`git clone https://github.com/ggml-org/llama.cpp` and give the folder as --converter."
        )
    return Path(found)


def write_gguf(
    model: Path, out: Path, *, converter: Path, quantization: Quantization = "q8_0"
) -> Path:
    """Convert a model folder into the file `out`, which appears whole or not at all."""
    part = out.with_name(f".{out.name}.part")
    argv = [sys.executable, str(converter), str(model)]
    argv += ["--outfile", str(part), "--outtype", quantization]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode or not part.is_file():
            tail = "\n".join((done.stderr or done.stdout).strip().splitlines()[-5:])
            raise ConversionError(
                f"{converter} ended with {done.returncode} and wrote no GGUF:\n{tail}\n"
                "Its own requirements.txt must be installed, and it must know this architecture."
            )
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)
    return out


def modelfile(gguf: str, chat_template: str | None) -> str:
    """Return an Ollama Modelfile; a ChatML template is told to Ollama in its own language.

    Of another template Ollama knows the common ones by itself, from the GGUF.
    """
    text = f"# ollama create tuned -f Modelfile && ollama run tuned\nFROM ./{gguf}\n"
    return text + CHATML if "<|im_start|>" in (chat_template or "") else text
