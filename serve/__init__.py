"""Run language models: a name becomes a folder, a folder becomes text.

    from serve.models import resolve
    folder = resolve("smollm2-135m", cache=Path("models"))

    from serve.local import LocalModel                  # in this process, with or without a GPU
    model = LocalModel(folder)
    for piece in model.stream([{"role": "user", "content": "Hello"}], None):
        print(piece, end="")

    from serve.config import ServerConfig               # a server of its own, for vLLM
    from serve.server import Server
    with Server(ServerConfig(model=folder, name="smollm2", log=Path("vllm.log"))) as server:
        print(server.base_url)

Importing the package itself loads none of its modules, so that nothing heavy comes unasked.
"""

__all__ = ["command", "config", "errors", "local", "models", "server"]
