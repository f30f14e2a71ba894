"""ComfyUI's recorded errors in plain words, without what is nobody's business."""

import pytest
from msgspec.structs import replace

from adapters.comfyui.trace import Trace, ended
from adapters.comfyui.translate import clean, node_failure, refusal
from domain.outcome import FailureKind
from services.ports.backend import Broken, Finished, Interrupted
from workflows.protocol.history import decode_results
from workflows.protocol.messages import ErrorBody
from workflows.protocol.prompt import decode_refused

LEAKY = (
    b'{"error":{"type":"prompt_outputs_failed_validation","message":"Prompt outputs failed validation",'
    b'"details":"","extra_info":{}},"node_errors":{"1":{"errors":[{"type":"value_not_in_list",'
    b'"message":"Value not in list","details":"lora_name: \'nope\' not in [\'user-ann/secret.safetensors\']",'
    b'"extra_info":{"input_name":"lora_name","input_config":[["user-ann/secret.safetensors"],{}],'
    b'"received_value":"nope"}}],"dependent_outputs":["4"],"class_type":"LoraLoader"}}}'
)
BROKEN_LINK = (
    b'{"error":{"type":"prompt_outputs_failed_validation","message":"x","details":"y","extra_info":{}},'
    b'"node_errors":{"2":{"errors":[{"type":"exception_during_inner_validation","message":"Exception",'
    b'"details":"\'77\'","extra_info":{"exception_type":"KeyError","traceback":["File \\"/srv/x.py\\""]}}],'
    b'"dependent_outputs":["2"],"class_type":"SaveImage"}}}'
)


def test_a_missing_lora_is_named_and_the_others_are_not() -> None:
    refused = decode_refused(LEAKY)
    failure = refusal(refused.error, refused.node_errors)
    assert (failure.node, failure.node_class) == ("1", "LoraLoader")
    assert failure.reason == "lora_name: nope is not available on this backend."
    assert "secret" not in str(failure)


def test_a_traceback_stays_inside() -> None:
    refused = decode_refused(BROKEN_LINK)
    failure = refusal(refused.error, refused.node_errors)
    assert failure.reason == "A link into this node leads nowhere."
    assert "srv" not in str(failure)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (
            b'{"type":"prompt_outputs_failed_validation","details":""}',
            "The nodes of the graph form a circle.",
        ),
        (b'{"type":"prompt_no_outputs"}', "The graph has no output node."),
        (b'{"type":"no_prompt"}', "There is no graph."),
        (
            b'{"type":"invalid_prompt","message":"m","details":"Node ID \'#5\'"}',
            "A node of the graph has no class.",
        ),
        (b'{"type":"something_new","message":"m"}', "The backend does not accept the graph."),
    ],
)
def test_what_is_wrong_with_the_whole_graph_is_said(error: bytes, reason: str) -> None:
    refused = decode_refused(b'{"error":' + error + b',"node_errors":{}}')
    assert refusal(refused.error, refused.node_errors).reason == reason


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("boom", "boom"),
        ("open '/srv/my models/a.png' failed", "open (a file on the server) failed"),
        ("open /srv/comfy/a.png failed", "open (a file on the server) failed"),
        (r"open C:\comfy\a.png failed", "open (a file on the server) failed"),
        ("user-0b1c2d3e-aaaa/face.safetensors is broken", "(a file on the server) is broken"),
        ("expected 3/4 channels and/or alpha", "expected 3/4 channels and/or alpha"),
        ("a\x00b\x1b[31m", "a b [31m"),
    ],
)
def test_paths_and_uploads_are_hidden(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


@pytest.mark.parametrize(
    ("kind", "message"),
    [("torch.OutOfMemoryError", "Allocation on device"), ("RuntimeError", "CUDA error: out of memory")],
)
def test_out_of_memory_is_known_by_type_and_by_text(kind: str, message: str) -> None:
    error = ErrorBody(
        prompt_id="p", node_id="3", node_type="KSampler", exception_type=kind, exception_message=message
    )
    assert node_failure(error).kind is FailureKind.OUT_OF_MEMORY


def history(status: bytes, outputs: bytes = b"{}", meta: bytes = b"{}") -> bytes:
    return (
        b'{"p":{"prompt":[0,"p",{},{},[]],"outputs":'
        + outputs
        + b',"status":'
        + status
        + b',"meta":'
        + meta
        + b"}}"
    )


def test_an_interrupted_prompt_is_told_from_a_broken_one_by_its_last_message() -> None:
    interrupted = (
        b'{"status_str":"error","completed":false,"messages":[["execution_interrupted",{"prompt_id":"p"}]]}'
    )
    broken = (
        b'{"status_str":"error","completed":false,"messages":[["execution_error",{"node_id":"3","x":[1]}]]}'
    )
    assert isinstance(ended(decode_results(history(interrupted))["p"]), Interrupted)
    failed = ended(decode_results(history(broken))["p"])
    assert isinstance(failed, Broken)
    assert failed.failure.node == "3"


def test_history_and_signals_give_the_same_files_in_the_same_order() -> None:
    success = (
        b'{"status_str":"success","completed":true,"messages":[["execution_start",{"timestamp":1000}],'
        b'["execution_success",{"timestamp":3500}]]}'
    )
    outputs = (
        b'{"10":{"images":[{"filename":"b.png","subfolder":"s","type":"output"}]},'
        b'"2":{"gifs":[{"filename":"a.mp4","subfolder":"","type":"temp"}],"text":["hi"],"animated":[true]},'
        b'"1.0.3":{"images":[{"filename":"c.png","subfolder":"","type":"output"},'
        b'{"filename":"in.png","subfolder":"","type":"input"}]}}'
    )
    meta = b'{"1.0.3":{"node_id":"1.0.3","display_node":"1"}}'
    told = ended(decode_results(history(success, outputs, meta))["p"])

    trace = Trace({}, None)
    trace.began_ms = 1000
    trace.executed("10", None, {"images": [{"filename": "b.png", "subfolder": "s", "type": "output"}]})
    trace.executed("1.0.3", "1", {"images": [{"filename": "c.png", "subfolder": "", "type": "output"}]})
    trace.executed("2", "2", {"gifs": [{"filename": "a.mp4", "subfolder": "", "type": "temp"}]})

    assert isinstance(told, Finished)
    assert [(file.node, file.filename) for file in told.files] == [
        ("1", "c.png"),
        ("2", "a.mp4"),
        ("10", "b.png"),
    ]
    assert replace(trace.finished(3500), course=None) == replace(told, course=None)
    assert told.execution_s == 2.5
