// Follow your events, for ever: nothing is missed, nothing is handled twice.
//
//   npm install @nats-io/transport-node @nats-io/jetstream        (node 22 or newer)
//   COMFYPLUS_URL=http://127.0.0.1:8400 COMFYPLUS_KEY=cpk_... node follow_events.mjs
//
// The durable consumer remembers what was acknowledged; the file remembers the position of the last event that was
// handled. What the stream no longer has, or a new consumer would not tell, is read from the log over HTTP.

import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { jetstream, jetstreamManager, JetStreamApiError } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";

const URL_ = process.env.COMFYPLUS_URL;
const KEY = process.env.COMFYPLUS_KEY;
const STATE = process.env.COMFYPLUS_STATE ?? "position";

let position = existsSync(STATE) ? Number(readFileSync(STATE, "utf8")) : 0;

// Yours. Should the program die in here, it is called again with the same event.
async function handle(event) {
  process.stdout.write(JSON.stringify(event) + "\n");
}

// One connection. It ends when the server hangs up: after an hour, or when the key was revoked.
async function run() {
  const facts = await ask("/api/v1/events/nats");
  const client = await connect({
    servers: facts.url,
    token: KEY,
    inboxPrefix: facts.inbox_prefix,
    reconnect: false,
  });
  try {
    await follow(client, facts);
  } finally {
    await client.close();
  }
}

async function follow(client, facts) {
  const name = facts.consumers[0];
  const filter = facts.filters.at(-2); // your own; the last one is everybody's
  const manager = await jetstreamManager(client, { domain: facts.domain, checkAPI: false });
  try {
    await manager.consumers.info(facts.stream, name);
  } catch (error) {
    if (!(error instanceof JetStreamApiError) || error.code !== 10014) throw error; // there is none yet
    await manager.consumers.add(facts.stream, {
      name,
      durable_name: name,
      filter_subject: filter,
      ack_policy: "explicit",
      deliver_policy: "by_start_sequence",
      opt_start_seq: position + 1, // a message's number in the stream is its event's position
    });
  }
  await refill();
  const consumer = await jetstream(client, { domain: facts.domain }).consumers.get(facts.stream, name);
  const messages = await consumer.consume({ max_messages: 100 });
  client.closed().then(() => messages.stop());
  let delivered;
  for await (const message of messages) {
    const number = message.info.deliverySequence;
    if (delivered !== undefined && number !== delivered + 1) {
      await refill(); // the consumer has left something out
    }
    delivered = number;
    await take(message.json());
    message.ack();
  }
}

// What the log has behind our position. One short answer when nothing was missed.
async function refill() {
  for (;;) {
    const page = await ask(`/api/v1/events?after=${position}&limit=1000`);
    for (const event of page.events) await take(event);
    reached(page.position);
    if (page.end) return;
  }
}

async function take(event) {
  if (Number(event.id) > position) {
    await handle(event);
    reached(Number(event.id));
  }
}

function reached(place) {
  if (place > position) {
    writeFileSync(`${STATE}.new`, String(place));
    renameSync(`${STATE}.new`, STATE);
    position = place;
  }
}

async function ask(path) {
  const answer = await fetch(URL_ + path, { headers: { "X-API-Key": KEY }, signal: AbortSignal.timeout(30_000) });
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

for (;;) {
  try {
    await run();
  } catch (error) {
    console.error(`reconnecting: ${error}`);
  }
  await new Promise((wake) => setTimeout(wake, 1000));
}
