"""`comfyplus`: one command for each process, for all of them, and for who operates them."""

import typer

from infra.command_line import (
    admin,
    audit,
    backends,
    backups,
    gate,
    models,
    objects,
    processes,
    queue,
    read_models,
    setting_up,
)

app = typer.Typer(
    help="The self-hosted platform in front of ComfyUI.", no_args_is_help=True, add_completion=False
)
for group in (processes, read_models, backups, setting_up):
    app.add_typer(group.app)
app.add_typer(admin.app, name="admin")
app.add_typer(audit.app, name="audit")
app.add_typer(objects.app, name="objects")
app.add_typer(backends.app, name="backends")
app.add_typer(gate.app, name="gate")
app.add_typer(models.app, name="models")
app.add_typer(queue.app, name="queue")


def main() -> None:
    app()


if __name__ == "__main__":
    main()
