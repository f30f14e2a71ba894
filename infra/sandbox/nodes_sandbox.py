"""Nodes the original does not have: they sleep or fail on purpose."""

from infra.sandbox.node import Call, Input, NodeClass, Result, Values


def _sleep(call: Call, inputs: Values) -> Result:
    steps = inputs["steps"]
    call.text(f"sleeping {inputs['seconds']:g} s")
    for step in range(1, steps + 1):
        call.pause(inputs["seconds"] / steps)
        call.progress(step, steps)
    return Result((inputs.get("image", ()),), {"text": [f"slept {inputs['seconds']:g}"]})


def _fail(call: Call, inputs: Values) -> Result:
    raise ValueError(inputs["message"])


CLASSES = (
    NodeClass(
        name="SandboxSleep",
        run=_sleep,
        required={
            "seconds": Input("FLOAT", {"default": 1.0, "min": 0.0, "max": 3600.0}),
            "steps": Input("INT", {"default": 5, "min": 1, "max": 10000}),
        },
        optional={"image": Input("IMAGE"), "tag": Input("STRING", {"default": ""})},
        outputs=("IMAGE",),
        shows=True,
        category="sandbox",
    ),
    NodeClass(
        name="SandboxFail",
        run=_fail,
        required={"message": Input("STRING", {"default": "failed on purpose"})},
        optional={"image": Input("IMAGE")},
        outputs=("IMAGE",),
        shows=True,
        category="sandbox",
    ),
)
