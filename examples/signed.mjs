// Publishes a signed job to Flotilla, as MessagePack, and waits for its reply. Needs: npm install amqplib @msgpack/msgpack, and in
// FLOTILLA_SIGNING_KEYS the name of a file whose first line is `ID KEY`.
import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import { decode, encode } from "@msgpack/msgpack";
import amqp from "amqplib";

const exchange = process.env.FLOTILLA_PREFIX || "flotilla";
const [keyId, key] = readFileSync(process.env.FLOTILLA_SIGNING_KEYS, "utf8").split(/\s+/);

function sign(body, routingKey, { messageId = "", replyTo = "", correlationId = "" } = {}) {
  const lines = ["flotilla-job-1", keyId, exchange, routingKey, messageId, replyTo, correlationId, ""];
  const mac = createHmac("sha256", Buffer.from(key, "hex")).update(lines.join("\n")).update(body);
  return { "x-flotilla-key": keyId, "x-flotilla-signature": mac.digest("hex") };
}

const connection = await amqp.connect(process.env.FLOTILLA_AMQP_URL || "amqp://guest:guest@localhost:5672/");
const channel = await connection.createConfirmChannel();
const about = { replyTo: (await channel.assertQueue("", { exclusive: true })).queue, correlationId: "42" };
const routingKey = `${process.argv[2] || "default"}.normal`;
const body = Buffer.from(encode({ id: `js-${Date.now()}`, task: "noop", args: { from: "node" } }));
channel.publish(exchange, routingKey, body, {
  contentType: "application/msgpack", persistent: true, mandatory: true, headers: sign(body, routingKey, about), ...about });
await channel.waitForConfirms(); // throws where the broker does not have it safe

const reply = await new Promise((done) => channel.consume(about.replyTo, done, { noAck: true }));
console.log(reply.properties.correlationId, JSON.stringify(decode(reply.content)));
await connection.close();
