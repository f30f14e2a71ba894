"""`python -m infra.sandbox`: a ComfyUI that needs no models and misbehaves on demand."""

import argparse
from pathlib import Path
from typing import get_type_hints

import msgspec

from infra.sandbox.server import serve
from infra.sandbox.settings import Faults, SandboxSettings


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m infra.sandbox", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8188, help="0: a free one, told in --port-file")
    parser.add_argument(
        "--directory", type=Path, required=True, help="where input, output, temp and models lie"
    )
    parser.add_argument("--port-file", type=Path)
    parser.add_argument("--die-with-parent", action="store_true")
    parser.add_argument("--checkpoint", action="append", help="name of a checkpoint to pretend (repeatable)")
    parser.add_argument("--preview-every", type=int, default=1, help="samplers show every n-th step; 0: none")
    _add_faults(parser)
    chosen = parser.parse_args()
    settings = SandboxSettings(
        directory=chosen.directory,
        host=chosen.host,
        port=chosen.port,
        port_file=chosen.port_file,
        die_with_parent=chosen.die_with_parent,
        checkpoints=tuple(chosen.checkpoint or ("sandbox.safetensors",)),
        preview_every=chosen.preview_every,
        faults=_faults(chosen),
    )
    serve(settings)


def _add_faults(parser: argparse.ArgumentParser) -> None:
    """One option per switch: `--node-time-s 0.2`, `--send-twice`, `--hang-paths /history`."""
    group = parser.add_argument_group("faults", "also changeable while running: POST /sandbox/faults")
    for name, kind in get_type_hints(Faults).items():
        option = "--" + name.replace("_", "-")
        if kind is bool:
            group.add_argument(option, action="store_true")
        elif kind in (int, float, str):
            group.add_argument(option, type=kind, default=None)
        else:
            group.add_argument(option, action="append", default=None)


def _faults(chosen: argparse.Namespace) -> Faults:
    given = {name: getattr(chosen, name) for name in Faults.__struct_fields__}
    return msgspec.convert({name: value for name, value in given.items() if value is not None}, Faults)


if __name__ == "__main__":
    main()
