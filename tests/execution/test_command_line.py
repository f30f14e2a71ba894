"""Steering execution from the terminal: each wish is an event with a reason, or is refused with a sentence."""

from typing import Any

import msgspec
import psycopg

from tests.servers import Database
from tests.terminal import Terminal


def events(database: Database) -> list[tuple[str, dict[str, Any], str]]:
    """Topic, content and actor of everything that happened."""
    with psycopg.connect(database.url) as owner:
        rows = owner.execute("SELECT topic, state, actor FROM log.events ORDER BY notification_id").fetchall()
    return [(topic, msgspec.json.decode(state), actor) for topic, state, actor in rows]


def test_the_gate_is_shown_and_changed_name_by_name(database: Database, terminal: Terminal) -> None:
    shown = terminal.call("gate", "show")
    assert "allowed: none" in shown
    assert "LoadImageOutput" in shown
    assert "let through" in terminal.call("gate", "allow", "Impact", "LoadImageOutput", "--reason", "Asked.")
    assert "so already" in terminal.call("gate", "allow", "Impact", "--reason", "Again.")
    terminal.call("gate", "deny", "SaveImage", "Impact", "--reason", "It filled the disk.")
    terminal.call("gate", "forget", "SaveImage", "--reason", "A larger disk.")
    terminal.call("gate", "limit", "--batch", "8", "--reason", "Small cards.")
    shown = terminal.call("gate", "show")
    assert "allowed: LoadImageOutput\n" in shown
    assert "denied: Impact\n" in shown
    assert "batch: 8" in shown
    found = events(database)
    assert [(topic, body["reason"], actor) for topic, body, actor in found] == [
        ("gate.set.v1", "Asked.", "operator"),
        ("gate.set.v1", "It filled the disk.", "operator"),
        ("gate.set.v1", "A larger disk.", "operator"),
        ("gate.set.v1", "Small cards.", "operator"),
    ]
    assert found[1][1]["rules"]["allowed"] == ["LoadImageOutput"]


def test_what_the_gate_cannot_be_told_changes_nothing(database: Database, terminal: Terminal) -> None:
    assert "reason" in terminal.call("gate", "allow", "Impact", "--reason", " ", code=1)
    assert "1 to 200 printable" in terminal.call("gate", "deny", "a\x1b[2J", "--reason", "x", code=1)
    assert "1 to 100000" in terminal.call("gate", "limit", "--batch", "0", "--reason", "x", code=1)
    terminal.call("gate", "limit", "--reason", "x", code=2)
    terminal.call("gate", "allow", "Impact", code=2)
    terminal.call("gate", "allow", "--reason", "x", code=2)
    assert events(database) == []


def test_backends_are_added_and_listed(database: Database, terminal: Terminal) -> None:
    assert "No backend is registered" in terminal.call("backends", "list")
    words = ("backends", "add", "gpu-1", "--url", "https://gpu.example.org", "--reason", "Bought.")
    assert "gpu-1 is registered" in terminal.call(*words, "--credentials", "bearer abc", "--pool", "studio")
    listed = terminal.call("backends", "list")
    assert "gpu-1: comfyui, not live, pool studio, any executor, https://gpu.example.org, opened by" in listed
    assert "abc" not in listed
    assert "url" in terminal.call("backends", "add", "gpu-2", "--url", "ftp://x", "--reason", "x", code=1)
    refused = terminal.call(*words, "--credentials", "secret abc", code=2)
    assert "abc" not in refused
    ((topic, body, actor),) = events(database)
    assert (topic, body["reason"], actor) == ("backend.registered.v1", "Bought.", "operator")


def test_the_queue_is_paused_and_resumed(database: Database, terminal: Terminal) -> None:
    assert "Everything is paused." in terminal.call("queue", "pause", "--reason", "New cards.")
    assert "so already" in terminal.call("queue", "pause", "--reason", "New cards.")
    asked = ("queue", "pause", "--pool", "studio", "--reason", "Rent.")
    assert "no pool of this name" in terminal.call(*asked, code=1)
    terminal.call("queue", "pool", "studio", "--rank", "1", "--reason", "A new room.")
    assert "studio is paused." in terminal.call(*asked)
    assert "Everything is resumed." in terminal.call("queue", "resume", "--reason", "They are in.")
    assert "reason" in terminal.call("queue", "resume", "--pool", "studio", "--reason", " ", code=1)
    told = [(topic, body.get("pool", ""), body["reason"]) for topic, body, _ in events(database)]
    assert told == [
        ("queue.paused.v1", "", "New cards."),
        ("queue.pool_set.v1", "studio", "A new room."),
        ("queue.paused.v1", "studio", "Rent."),
        ("queue.resumed.v1", "", "They are in."),
    ]


def test_models_are_registered_changed_and_removed(database: Database, terminal: Terminal) -> None:
    assert "No model is registered" in terminal.call("models", "list")
    words = ("models", "add", "checkpoints", "a.safetensors", "--reason", "Licensed.")
    assert "registered" in terminal.call(
        *words, "--role", "admin", "--base-model", "sdxl", "--trigger", "soft"
    )
    listed = terminal.call("models", "list").strip()
    assert listed.endswith("checkpoints/a.safetensors, sdxl, for admin")
    id = listed.split()[0]
    terminal.call("models", "edit", id, "--no-active", "--everybody", "--reason", "It is broken.")
    assert "a.safetensors, not active, sdxl, for everybody" in terminal.call("models", "list")
    assert "no role king" in terminal.call(*words, "--role", "king", code=2)
    assert "Nobody has this name" in terminal.call(*words, "--account", "nobody", code=1)
    terminal.call("models", "remove", id, "--reason", "Sold.")
    assert "no such model" in terminal.call("models", "remove", id, "--reason", "Sold.", code=1)
    told = [(topic, body["reason"]) for topic, body, _ in events(database)]
    assert told == [
        ("model.registered.v1", "Licensed."),
        ("model.changed.v1", "It is broken."),
        ("model.removed.v1", "Sold."),
    ]


def test_pools_are_set_up_for_some_and_given_to_accounts(database: Database, terminal: Terminal) -> None:
    words = ("queue", "pool", "studio", "--rank", "2", "--reason", "Rented.")
    assert "studio is set up." in terminal.call(*words, "--role", "admin")
    assert "so already" in terminal.call(*words, "--role", "admin")
    assert (
        "no such account"
        in terminal.call("admin", "pool", "nobody", "studio", "--reason", "x", code=1).lower()
    )
    ((topic, body, actor),) = events(database)
    assert (topic, actor, body["settings"]["audience"]["roles"]) == (
        "queue.pool_set.v1",
        "operator",
        ["admin"],
    )
