"""Which backends could have an uploaded LoRA."""

from domain.workflow import Requirements
from workflows.inventory import Inventory, missing

UPLOADED = f"loras/user-00000000-0000-0000-0000-00000000000a/light-{'ab' * 32}.safetensors"


def test_an_uploaded_lora_is_missing_where_none_are_taken_and_nowhere_else() -> None:
    needs = Requirements(("LoraLoader",), (UPLOADED, "loras/installed.safetensors"))
    has = Inventory(node_classes={"LoraLoader": "nodes"}, models={"loras": ("installed.safetensors",)})
    assert missing(has, needs).models == (UPLOADED,)
    takes = Inventory(node_classes=has.node_classes, models=has.models, takes_loras=True)
    assert not missing(takes, needs)
