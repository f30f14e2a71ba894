from tests.execution.conftest import comfyui, dispatch, shared_sandbox, store

__all__ = ["comfyui", "dispatch", "shared_sandbox", "store"]
