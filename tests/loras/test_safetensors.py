"""Which files are taken for LoRAs, and what they tell of themselves."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as some

from domain.lora import LoraSummary
from domain.refusals import Invalid
from tests.loras.files import WRONG, lora, one, packed
from workflows.families import of_model_name, summary
from workflows.safetensors import Header, header_end, read_header


def read(file: bytes) -> Header:
    end = header_end(file[:16])
    return read_header(file[:end], len(file))


@pytest.mark.parametrize("name", WRONG)
def test_a_file_that_is_not_right_is_refused(name: str) -> None:
    with pytest.raises(Invalid) as refused:
        read(WRONG[name])
    (error,) = refused.value.errors
    assert error.field == "file"
    assert error.reason.endswith(".")


@pytest.mark.parametrize(
    ("name", "says"), [("a pickle", "pickle"), ("a zip", "zip"), ("a web page", "login")]
)
def test_the_refusal_says_what_it_is_instead(name: str, says: str) -> None:
    with pytest.raises(Invalid) as refused:
        read(WRONG[name])
    assert says in refused.value.errors[0].reason


def test_a_lora_tells_what_it_is() -> None:
    tags = {"ss_tag_frequency": json.dumps({"10_cat": {"a cat": 12, "cute": 30}})}
    assert summary(read(lora(rank=8, metadata=tags))) == LoraSummary("sdxl", ("cute", "a cat"), 8, "F16", 3)
    assert summary(read(lora(width=768))).base_model == "sd15"


def test_spaces_behind_the_header_are_allowed() -> None:
    assert read(packed(json.dumps(one()).encode() + b"    ", bytes(8))).size_bytes > 8


@pytest.mark.parametrize(
    ("name", "shape", "family"),
    [
        ("unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.lora_A.weight", [4, 2048], "sdxl"),
        ("unet.up_blocks.1.attentions.0.transformer_blocks.0.attn2.to_v.lora.down.weight", [4, 1024], "sd2"),
        ("lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight", [16, 3072], "flux"),
        ("transformer.single_transformer_blocks.3.attn.to_q.lora_A.weight", [16, 3072], "flux"),
        ("diffusion_model.joint_blocks.0.x_block.attn.qkv.lora_A.weight", [16, 1536], "sd3"),
        ("diffusion_model.blocks.0.cross_attn.k.lora_A.weight", [16, 5120], "wan"),
        ("double_blocks.0.img_attn_qkv.lora_A.weight", [16, 3072], "hunyuan_video"),
        ("something.else.weight", [3], ""),
    ],
)
def test_the_family_is_told_by_names_and_shapes(name: str, shape: list[int], family: str) -> None:
    size = 2
    for each in shape:
        size *= each
    file = packed({name: {"dtype": "F16", "shape": shape, "data_offsets": [0, size]}}, bytes(size))
    assert summary(read(file)).base_model == family


def test_where_tensors_tell_nothing_the_metadata_do() -> None:
    file = packed(
        one() | {"__metadata__": {"modelspec.architecture": "stable-diffusion-xl-v1-base/lora"}}, bytes(8)
    )
    assert summary(read(file)).base_model == "sdxl"


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("sd_xl_base_1.0.safetensors", "sdxl"),
        ("dreamshaperXL_v21.safetensors", "sdxl"),
        ("v1-5-pruned-emaonly.safetensors", "sd15"),
        ("flux1-dev-fp8.safetensors", "flux"),
        ("sd3.5_large.safetensors", "sd3"),
        ("v2-1_768-ema-pruned.safetensors", "sd2"),
        ("sandbox.safetensors", ""),
        ("myModel_v15.safetensors", ""),
    ],
)
def test_a_checkpoints_name_may_tell_its_family(name: str, family: str) -> None:
    assert of_model_name(name) == family


@given(some.binary(max_size=400))
def test_whatever_is_sent_is_refused_in_words(body: bytes) -> None:
    with pytest.raises(Invalid):
        read(body)


@given(some.data())
def test_a_good_file_with_some_bytes_changed_is_read_or_refused(data: some.DataObject) -> None:
    file = bytearray(lora(metadata={"a": "b"}))
    for place in data.draw(some.lists(some.integers(0, 700), max_size=5)):
        file[place] = data.draw(some.integers(0, 255))
    with suppress(Invalid):
        summary(read(bytes(file)))
