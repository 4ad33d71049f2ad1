// Jobs from amqplib, as any program in JavaScript would publish them; asserted from Redis and from a log that the jobs write.
import assert from "node:assert/strict";
import { execFile, execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { copyFileSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";

import { decode, encode } from "@msgpack/msgpack";
import amqp from "amqplib";

const { FLOTILLA_AMQP_URL, FLOTILLA_REDIS_URL, FLOTILLA_BUILD } = process.env;
const bin = join(FLOTILLA_BUILD ?? new URL("../../build/plain", import.meta.url).pathname, "bin");
const prefix = "n" + randomBytes(6).toString("hex");
const here = new URL(".", import.meta.url).pathname;
const dir = mkdtempSync(join(tmpdir(), "flotilla-test."));
const log = join(dir, "log");
const types = { json: "application/json", msgpack: "application/msgpack" };
const encoders = { json: (value) => Buffer.from(JSON.stringify(value)), msgpack: (value) => Buffer.from(encode(value)) };
const decoders = { [types.json]: (body) => JSON.parse(body.toString()), [types.msgpack]: decode };

let worker, connection, channel, replies;
const answers = [];

// --- looking

const redis = (...words) => execFileSync("redis-cli", ["-u", FLOTILLA_REDIS_URL, ...words], { encoding: "utf8" }).trimEnd();
const field = (id, name) => redis("hget", `${prefix}:job:${id}`, name);
const result = (id) => JSON.parse(redis("get", `${prefix}:job:${id}:result`) || "null");
const lines = () => (existsSync(log) ? readFileSync(log, "utf8").trim().split("\n") : []);

async function until(condition, what, seconds = 20) {
	for (const end = Date.now() + seconds * 1000; ; await new Promise((wake) => setTimeout(wake, 30))) {
		const value = condition();
		if (value) return value;
		assert.ok(Date.now() < end, `${what}: not within ${seconds} s`);
	}
}

const ended = (id) => until(() => /succeeded|failed|cancelled|skipped|expired/.test(field(id, "state")), `${id} has ended`);
const answerTo = (correlationId) =>
	until(() => answers.find((message) => message.properties.correlationId === correlationId), `an answer to ${correlationId}`);

// --- publishing

// A job that writes down when it starts and when it ends, and gives its id back.
const logged = (id, more) => ({
	task: "exec",
	id,
	argv: ["sh", "-c", `echo "start $FLOTILLA_ID" >> ${log}; echo "\\"$FLOTILLA_ID\\"" > result; echo "end $FLOTILLA_ID" >> ${log}`],
	...more,
});

function publish(job, { encoding = "json", queue = false, body, on = channel, ...properties } = {}) {
	const [exchange, key] = queue ? ["", `${prefix}.default.normal`] : [prefix, "default.normal"];
	return new Promise((resolve, reject) =>
		on.publish(exchange, key, body ?? encoders[encoding](job),
			{ contentType: types[encoding], persistent: true, mandatory: true, ...properties },
			(error) => (error ? reject(error) : resolve())));
}

async function start(name, ...more) {
	const output = openSync(join(dir, `${name}.log`), "w");
	const options = ["--prefix", prefix, "--allow-exec", "--slots", "4", "--name", name, "--work-dir", join(dir, "work"), ...more];
	const process = spawn(join(bin, "flotillad"), options, { stdio: ["ignore", output, output] });
	await until(() => redis("zscore", `${prefix}:workers`, name), "the worker is there", 30);
	return process;
}

async function stop(process) {
	const exit = new Promise((resolve) => process.on("exit", resolve));
	process.kill("SIGTERM");
	await exit;
}

before(async () => {
	worker = await start("node-test");
	connection = await amqp.connect(FLOTILLA_AMQP_URL);
	channel = await connection.createConfirmChannel();
	replies = (await channel.assertQueue("", { exclusive: true })).queue;
	await channel.consume(replies, (message) => answers.push(message), { noAck: true });
});

after(async () => {
	await stop(worker);
	for (const name of ["default.high", "default.normal", "default.low", "secure.high", "secure.normal", "secure.low", "unrouted", "returned", "rejected"])
		await channel.deleteQueue(`${prefix}.${name}`);
	await channel.deleteExchange(prefix);
	await channel.deleteExchange(`${prefix}.unrouted`);
	await connection.close();
	redis("eval", "for _, key in ipairs(redis.call('keys', ARGV[1] .. ':*')) do redis.call('del', key) end", "0", prefix);
	rmSync(dir, { recursive: true });
});

for (const encoding of ["json", "msgpack"])
	for (const queue of [false, true])
		test(`children before parents: ${encoding}, ${queue ? "default exchange" : "exchange"}`, async () => {
			const name = (id) => `${encoding}/${queue}/${id}`;
			const jobs = { all: ["b", "c"], c: ["a"], b: ["a"], a: [] };
			for (const [id, parents] of Object.entries(jobs))
				await publish(logged(name(id), { after: parents.map(name) }),
					{ encoding, queue, replyTo: replies, correlationId: `about ${name(id)}` });
			for (const [id, parents] of Object.entries(jobs)) {
				await ended(name(id));
				assert.equal(field(name(id), "state"), "succeeded");
				assert.equal(field(name(id), "attempt"), "1");
				assert.equal(result(name(id)), name(id));
				const written = lines();
				assert.equal(written.filter((line) => line === `start ${name(id)}`).length, 1);
				assert.equal(written.filter((line) => line === `end ${name(id)}`).length, 1);
				for (const parent of parents)
					assert.ok(written.indexOf(`end ${name(parent)}`) < written.indexOf(`start ${name(id)}`));
				const { properties, content } = await answerTo(`about ${name(id)}`);
				assert.equal(properties.contentType, types[encoding]);
				const answer = decoders[properties.contentType](content);
				assert.deepEqual([answer.id, answer.state, answer.result, answer.attempt], [name(id), "succeeded", name(id), 1]);
			}
		});

test("numbers of JavaScript: whole floats, 64 bits", async () => {
	const args = { whole: 3.0, half: 0.5, most: Number.MAX_SAFE_INTEGER, text: "\u{1f6a2}", list: [null, true] };
	// as floats, as some clients write every number
	const body = Buffer.from(encode({ task: "noop", id: "numbers", retries: 2, timeout_ms: 60000, args }, { forceIntegerToFloat: true }));
	await publish(null, { body, contentType: types.msgpack });
	await ended("numbers");
	assert.deepEqual(result("numbers"), args);
	const big = encode({ task: "noop", id: "big", args: [2n ** 64n - 1n, -(2n ** 63n)] }, { useBigInt64: true });
	await publish(null, { body: Buffer.from(big), contentType: types.msgpack });
	await ended("big");
	assert.equal(redis("get", `${prefix}:job:big:result`).replaceAll(" ", ""), "[18446744073709551615,-9223372036854775808]");
});

test("without a content type, and message_id for the id", async () => {
	await publish(null, { body: encoders.json({ task: "noop", args: 1 }), contentType: undefined, messageId: "from-message" });
	await publish(null, { body: encoders.msgpack({ task: "noop", args: 2, id: "from-body" }), contentType: undefined, messageId: "x" });
	for (const [id, value] of [["from-message", 1], ["from-body", 2]]) {
		await ended(id);
		assert.equal(result(id), value);
	}
});

test("odd correlation ids come back as they were", async () => {
	for (const [number, correlationId] of ["a b:c/d\\e\"f'", "\u0001\u001f\n{}%s", "é\u{1f6a2}\u2028", "x".repeat(255)].entries()) {
		await publish({ task: "noop", id: `odd-${number}` }, { replyTo: replies, correlationId });
		const { content } = await answerTo(correlationId);
		assert.equal(JSON.parse(content).id, `odd-${number}`);
	}
});

test("a known id is answered all the same, in the encoding of the question", async () => {
	await publish({ task: "noop", id: "known", args: [7] });
	await ended("known");
	for (const encoding of ["json", "msgpack"]) {
		await publish({ task: "fail", id: "known" }, { encoding, replyTo: replies, correlationId: `again ${encoding}` });
		const { properties, content } = await answerTo(`again ${encoding}`);
		assert.equal(properties.contentType, types[encoding]);
		assert.deepEqual(decoders[types[encoding]](content).result, [7]);
	}
});

test("a rejected message is answered and kept with its reason", async () => {
	for (const encoding of ["json", "msgpack"]) {
		const job = { task: "noop", id: `bad-${encoding}`, color: "red" };
		await publish(job, { encoding, replyTo: replies, correlationId: job.id, headers: { "x-mine": 1 } });
		const { properties, content } = await answerTo(job.id);
		const answer = decoders[properties.contentType](content);
		assert.equal(properties.contentType, types[encoding]);
		assert.deepEqual([answer.id, answer.state, answer.reason], [job.id, "rejected", "rejected"]);
		assert.match(answer.error, /color/);
		let message;
		for (const end = Date.now() + 10000; !message && Date.now() < end;)
			message = await channel.get(`${prefix}.rejected`, { noAck: true });
		assert.deepEqual(decoders[types[encoding]](message.content), job);
		assert.match(message.properties.headers["x-flotilla-reason"], /color/);
		assert.equal(message.properties.headers["x-flotilla-from"], `${prefix}.default.normal`);
		assert.equal(message.properties.headers["x-mine"], 1);
		assert.equal(field(job.id, "state"), "");
	}
});

test("a binary value is named, not guessed", async () => {
	await publish({ task: "noop", args: new Uint8Array([1, 2]) }, { encoding: "msgpack", replyTo: replies, correlationId: "binary" });
	assert.match(decode((await answerTo("binary")).content).error, /binary/);
	await channel.get(`${prefix}.rejected`, { noAck: true });
});

test("fifty publishes of one id from several connections: one run", async () => {
	await Promise.all(Array.from({ length: 5 }, async (_, number) => {
		const other = await amqp.connect(FLOTILLA_AMQP_URL);
		const on = await other.createConfirmChannel();
		for (let i = 0; i < 10; i++)
			await publish(logged("one"), { on, queue: (number + i) % 2 === 1, encoding: i % 2 ? "json" : "msgpack" });
		await other.close();
	}));
	await ended("one");
	await until(() => redis("zcard", `${prefix}:outbox`) === "0" && redis("zcard", `${prefix}:settling`) === "0", "nothing is owed");
	assert.equal(field("one", "attempt"), "1");
	assert.deepEqual(lines().filter((line) => line.endsWith(" one")), ["start one", "end one"]);
});

test("twenty jobs with one dedup key: one run, twenty results", async () => {
	const ids = Array.from({ length: 20 }, (_, number) => `same-${number}`);
	await publish(logged("first", { dedup: "k", argv: ["sh", "-c", `while [ ! -e ${dir}/go ]; do sleep 0.05; done; echo 42 > result`] }));
	await until(() => field("first", "state") === "running", "the first one runs");
	await Promise.all(ids.map((id, number) => publish(logged(id, { dedup: "k" }), { encoding: number % 2 ? "json" : "msgpack" })));
	await until(() => ids.every((id) => field(id, "state") === "waiting"), "all have joined");
	execFileSync("touch", [`${dir}/go`]);
	for (const id of ids) {
		await ended(id);
		assert.equal(field(id, "state"), "succeeded");
		assert.equal(field(id, "duplicate_of"), "first");
		assert.equal(result(id), 42);
	}
	assert.equal(lines().filter((line) => line.includes("same-")).length, 0);
});

test("the signed example, against a pool that takes nothing else", async () => {
	const keys = join(dir, "keys");
	const example = join(dir, "signed.mjs");
	writeFileSync(keys, `mine ${randomBytes(32).toString("hex")}\n`, { mode: 0o600 });
	copyFileSync(join(here, "../../examples/signed.mjs"), example);
	symlinkSync(join(here, "node_modules"), join(dir, "node_modules")); // where it finds what it imports
	const secure = await start("node-secure", "--pool", "secure", "--signing-keys", keys, "--require-signed");
	const env = { ...process.env, FLOTILLA_PREFIX: prefix, FLOTILLA_SIGNING_KEYS: keys };
	const { stdout } = await promisify(execFile)(process.execPath, [example, "secure"], { env, timeout: 60000 });
	const answer = JSON.parse(stdout.slice(stdout.indexOf(" ")));
	assert.deepEqual([stdout.split(" ")[0], answer.state, answer.result], ["42", "succeeded", { from: "node" }]);
	channel.publish(prefix, "secure.normal", encoders.json({ task: "noop", id: "bare" }), { replyTo: replies, correlationId: "bare" });
	assert.match(JSON.parse((await answerTo("bare")).content).error, /not signed/);
	await channel.get(`${prefix}.rejected`, { noAck: true });
	await stop(secure);
});
