// BullMQ as it comes nearest to what Flotilla keeps: the same Redis, with appendfsync always; jobs and their ends are kept.
// There is no broker: a job's only copy is in Redis, as a Flotilla job's is once it was admitted.
//
//   bullmq.mjs worker            takes jobs until it gets SIGTERM; prints "ready"
//   bullmq.mjs noop N            adds N jobs that do nothing, and waits for all; prints seconds
//   bullmq.mjs chain N T         T flows of N jobs, each the parent of the one before; prints seconds for all steps
import { createRequire } from "node:module";
import path from "node:path";

const require = createRequire(path.join(process.env.BULLMQ_DIR, "package.json"));
const { FlowProducer, Queue, Worker } = require("bullmq");

const url = new URL(process.env.FLOTILLA_REDIS_URL);
const connection = { host: url.hostname, port: Number(url.port) };
const name = "bench-bullmq";
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const seconds = () => Number(process.hrtime.bigint()) / 1e9;

async function worker() {
  const worker = new Worker(name, async () => null, { connection, concurrency: 200 });
  await worker.waitUntilReady();
  console.log("ready");
  process.once("SIGTERM", async () => { await worker.close(); process.exit(0); });
}

async function noop(count) {
  const queue = new Queue(name, { connection });
  const before = await queue.getCompletedCount();
  const begin = seconds();
  for (let done = 0; done < count; done += 1000)
    await queue.addBulk(Array.from({ length: Math.min(1000, count - done) }, () => ({ name: "noop", data: null })));
  while ((await queue.getCompletedCount()) - before < count) await sleep(5);
  console.log((seconds() - begin).toFixed(6));
  await queue.close();
}

const steps = (run, depth) => ({
  name: "noop", queueName: name, data: null, opts: { jobId: `${run}-${depth}` },
  ...(depth > 0 ? { children: [steps(run, depth - 1)] } : {}),
});

async function chain(length, times) {
  const flows = new FlowProducer({ connection });
  const queue = new Queue(name, { connection });
  let took = 0;
  for (let i = 0; i < times; i++) {
    const run = `c${process.pid}-${Date.now()}-${i}`;
    await queue.pause(); // as with Flotilla: all of it is there before the first begins
    await flows.add(steps(run, length - 1));
    await queue.resume();
    let last;
    do {
      await sleep(2);
      last = await queue.getJob(`${run}-${length - 1}`);
    } while (!last?.finishedOn);
    took += last.finishedOn - (await queue.getJob(`${run}-0`)).finishedOn;
  }
  console.log((took / 1000).toFixed(6));
  await flows.close();
  await queue.close();
}

const [what, ...sizes] = process.argv.slice(2);
await { worker, noop, chain }[what](...sizes.map(Number));
