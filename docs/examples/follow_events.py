"""Follow your events, for ever: nothing is missed, nothing is handled twice.

    pip install nats-py        (Python 3.11 or newer)
    COMFYPLUS_URL=http://127.0.0.1:8400 COMFYPLUS_KEY=cpk_... python follow_events.py

The durable consumer remembers what was acknowledged; the file remembers the position of the last event that was
handled. What the stream no longer has, or a new consumer would not tell, is read from the log over HTTP.
"""

import asyncio
import json
import os
import pathlib
import sys
import urllib.request

from nats.aio.client import Client
from nats.errors import Error
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError

URL = os.environ["COMFYPLUS_URL"]
KEY = os.environ["COMFYPLUS_KEY"]
STATE = pathlib.Path(os.environ.get("COMFYPLUS_STATE", "position"))


def handle(event: dict) -> None:
    """Yours. Should the program die in here, it is called again with the same event."""
    print(json.dumps(event), flush=True)


class Follower:
    def __init__(self) -> None:
        self.position = int(STATE.read_text()) if STATE.exists() else 0

    async def run(self) -> None:
        """One connection. It ends when the server hangs up: after an hour, or when the key was revoked."""
        facts = await asyncio.to_thread(ask, "/api/v1/events/nats")
        client = Client()
        try:
            await client.connect(
                facts["url"], token=KEY, inbox_prefix=facts["inbox_prefix"], allow_reconnect=False
            )
            await self.follow(client, facts)
        finally:
            await client.close()

    async def follow(self, client: Client, facts: dict) -> None:
        name, filter = facts["consumers"][0], facts["filters"][-2]  # your own; the last one is everybody's
        jetstream = client.jetstream(domain=facts["domain"])
        try:
            await jetstream.consumer_info(facts["stream"], name)
        except NotFoundError:
            config = ConsumerConfig(
                name=name,
                durable_name=name,
                filter_subject=filter,
                ack_policy=AckPolicy.EXPLICIT,
                deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
                opt_start_seq=self.position + 1,  # a message's number in the stream is its event's position
            )
            await jetstream.add_consumer(facts["stream"], config)
        await self.refill()
        messages = await jetstream.pull_subscribe_bind(name, facts["stream"])
        delivered = None
        while True:
            try:
                batch = await messages.fetch(100, timeout=5)
            except TimeoutError:
                continue
            for message in batch:
                number = message.metadata.sequence.consumer
                if delivered is not None and number != delivered + 1:
                    await self.refill()  # the consumer has left something out
                delivered = number
                self.take(json.loads(message.data))
                await message.ack()

    async def refill(self) -> None:
        """What the log has behind our position. One short answer when nothing was missed."""
        while True:
            page = await asyncio.to_thread(ask, f"/api/v1/events?after={self.position}&limit=1000")
            for event in page["events"]:
                self.take(event)
            self.reached(page["position"])
            if page["end"]:
                return

    def take(self, event: dict) -> None:
        position = int(event["id"])
        if position > self.position:
            handle(event)
            self.reached(position)

    def reached(self, position: int) -> None:
        if position > self.position:
            fresh = STATE.with_suffix(".new")
            fresh.write_text(str(position))
            fresh.replace(STATE)
            self.position = position


def ask(path: str) -> dict:
    request = urllib.request.Request(URL + path, headers={"X-API-Key": KEY})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


async def main() -> None:
    while True:
        try:
            await Follower().run()
        except (Error, OSError) as error:
            print(f"reconnecting: {error!r}", file=sys.stderr, flush=True)
        await asyncio.sleep(1)


if __name__ == "__main__":
    asyncio.run(main())
