"""Publishes a signed job to Flotilla and waits for its reply. Needs pika (Debian: python3-pika), and in FLOTILLA_SIGNING_KEYS the name
of a file whose first line is `ID KEY`."""
import hmac, json, os, sys, uuid
import pika

EXCHANGE = os.environ.get("FLOTILLA_PREFIX", "flotilla")
with open(os.environ["FLOTILLA_SIGNING_KEYS"]) as file:
    KEY_ID, KEY = file.readline().split()

def sign(body, routing_key, message_id="", reply_to="", correlation_id=""):
    lines = ["flotilla-job-1", KEY_ID, EXCHANGE, routing_key, message_id, reply_to, correlation_id, ""]
    mac = hmac.new(bytes.fromhex(KEY), "\n".join(lines).encode() + body, "sha256")
    return {"x-flotilla-key": KEY_ID, "x-flotilla-signature": mac.hexdigest()}

url = os.environ.get("FLOTILLA_AMQP_URL", "amqp://guest:guest@localhost:5672/")
channel = pika.BlockingConnection(pika.URLParameters(url)).channel()
channel.confirm_delivery()
about = {"reply_to": channel.queue_declare("", exclusive=True).method.queue, "correlation_id": "42"}
routing_key = (sys.argv[1:] or ["default"])[0] + ".normal"
body = json.dumps({"id": "py-" + uuid.uuid4().hex, "task": "noop", "args": {"pages": 3}}).encode()
channel.basic_publish(EXCHANGE, routing_key, body, pika.BasicProperties(
    content_type="application/json", delivery_mode=2, headers=sign(body, routing_key, **about), **about), mandatory=True)

for method, properties, answer in channel.consume(about["reply_to"], auto_ack=True, inactivity_timeout=30):
    if answer is None:
        raise SystemExit("no reply within 30 seconds")
    print(properties.correlation_id, answer.decode())
    break
