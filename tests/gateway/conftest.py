"""The whole of the HTTP tests, asked by ComfyUI's clients."""

from tests.http.conftest import ann, bob, nobody, own, served, shown_template

__all__ = ["ann", "bob", "nobody", "own", "served", "shown_template"]
