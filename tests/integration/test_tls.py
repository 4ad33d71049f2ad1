"""amqps and rediss with real certificates, against RabbitMQ and Redis themselves: the right server is talked to, every other is
refused by both programs with an error that says what is wrong with it, and nothing is sent to it before."""
import http.server
import json
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
import types

import pytest

from fleet import BUILD, ROOT, Fleet, until
from own_redis import OwnRedis, free_port
from pki import Authority
from proxy import Proxy


@pytest.fixture(scope="module")
def papers(tmp_path_factory):
    """The certificates: what the authority that is trusted issued, and one of a stranger's."""
    directory = tmp_path_factory.mktemp("pki")
    ours, strangers = Authority(directory, "ours"), Authority(directory, "strangers")
    papers = types.SimpleNamespace(ca=ours.cert, other_ca=strangers.cert)
    papers.right = ours.issue("right", "DNS:localhost, IP:127.0.0.1")
    papers.expired = ours.issue("expired", "DNS:localhost, IP:127.0.0.1", ends="20210101000000Z")
    papers.elsewhere = ours.issue("elsewhere", "DNS:elsewhere.example")
    papers.nameless = ours.issue("localhost")
    papers.client_only = ours.issue("clientonly", "DNS:localhost, IP:127.0.0.1", usage="clientAuth")
    papers.guest = ours.issue("guest", usage="clientAuth")
    papers.renewed = ours.issue("guest", usage="clientAuth", begins="20250101000000Z", file="renewed")
    papers.nobody = ours.issue("nobody", usage="clientAuth")
    papers.stranger = strangers.issue("stranger", usage="clientAuth")
    return papers


# --- servers: each gives a port for a certificate, another that demands one of the client, and one without TLS


class Rabbit:
    """Further listeners of the RabbitMQ that is there, opened while it runs."""
    option = "--amqp"
    scheme = "amqps"
    check = ["broker", "apply"]

    def __init__(self, papers):
        self.dir = os.environ["FLOTILLA_SERVICES_DIR"]
        self.papers = papers
        self.ports = {name: free_port() for name in ("right", "expired", "elsewhere", "nameless", "client_only", "demanding")}
        self.ports["plain"] = int(os.environ["FLOTILLA_AMQP_PORT"])
        self.plugins("[rabbitmq_auth_mechanism_ssl].")
        self.eval("""application:set_env(rabbit, ssl_options, [{verify, verify_peer}, {fail_if_no_peer_cert, true}]),
            application:set_env(rabbit, ssl_cert_login_from, common_name),
            application:set_env(rabbit, auth_mechanisms, ['EXTERNAL', 'PLAIN', 'AMQPLAIN']), %s, %s""" % (
            self.ensure(), ", ".join(self.listener(name, port) for name, port in self.ports.items() if name != "plain")))

    def close(self):
        self.plugins("[].")
        ports = ", ".join(str(port) for name, port in self.ports.items() if name not in ("plain", "nobody"))
        self.eval("[ranch:stop_listener(rabbit_networking:ranch_ref({127, 0, 0, 1}, Port)) || Port <- [%s]], %s" % (ports, self.ensure()))

    def listener(self, name, port):
        cert, key = getattr(self.papers, "right" if name == "demanding" else name)
        more = "{verify, verify_peer}, {fail_if_no_peer_cert, true}" if name == "demanding" else "{verify, verify_none}"
        return 'rabbit_networking:start_ssl_listener({"127.0.0.1", %d}, [{cacertfile, "%s"}, {certfile, "%s"}, {keyfile, "%s"}, %s], 2)' % (
            port, self.papers.ca, cert, key, more)

    def plugins(self, text):
        with open(self.dir + "/enabled_plugins", "w", encoding="utf-8") as file:
            file.write(text + "\n")

    def ensure(self):
        return 'rabbit_plugins:ensure("%s/enabled_plugins")' % self.dir

    def eval(self, text):
        done = subprocess.run([os.path.join(ROOT, "scripts", "services"), "rabbitmqctl", "--dir", self.dir, "-q", "eval", text + "."], timeout=60,
                              capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def url(self, name, host="localhost", scheme="amqps"):
        return "%s://guest:guest@%s:%d/" % (scheme, host, self.ports[name])


@pytest.fixture(scope="module")
def rabbit(papers):
    rabbit = Rabbit(papers)
    yield rabbit
    rabbit.close()


class Redis:
    """A Redis for each certificate."""
    option = "--redis"
    scheme = "rediss"
    check = ["stats"]

    def __init__(self, papers):
        self.servers, self.ports = {}, {}
        for name in ("right", "expired", "elsewhere", "nameless", "client_only", "demanding"):
            cert, key = getattr(papers, "right" if name == "demanding" else name)
            self.ports[name] = free_port()
            self.servers[name] = OwnRedis("--tls-port", self.ports[name], "--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file",
                                          papers.ca, "--tls-auth-clients", "yes" if name == "demanding" else "no", "--appendonly", "yes",
                                          "--appendfsync", "always")
        self.ports["plain"] = self.servers["right"].port

    def close(self):
        for server in self.servers.values():
            server.__exit__()

    def url(self, name, host="localhost", scheme="rediss"):
        return "%s://%s:%d/0" % (scheme, host, self.ports[name])


@pytest.fixture(scope="module")
def secure_redis(papers):
    redis = Redis(papers)
    yield redis
    redis.close()


@pytest.fixture(params=["rabbit", "secure_redis"])
def server(request):
    return request.getfixturevalue(request.param)


# --- both programs


def trusting(papers, cert=None, ca=None):
    """Options that both programs take."""
    options = ["--tls-ca", ca or papers.ca]
    return options + (["--tls-cert", cert[0], "--tls-key", cert[1]] if cert else [])


def run(program, fleet, server, url, options, patience="20s"):
    """What a program that cannot get in says, and its exit code."""
    if program == "flotilla":
        done = fleet.command(*server.check, server.option, url, *options)
        return done.returncode, done.stderr
    worker = fleet.worker(server.option, url, "--retry-services", patience, *options, ready=False)
    worker.process.wait(30)
    return worker.process.returncode, worker.log()


REFUSALS = [  # the server's certificate, what is asked for, the words
    ("expired", {}, "certificate expired on Jan  1 00:00:00 2021"),
    ("elsewhere", {}, "name mismatch: the server's certificate is not for localhost but for elsewhere.example"),
    ("nameless", {}, "name mismatch: the server's certificate is not for localhost but for no host"),
    ("client_only", {}, "certificate is not accepted: unsuitable certificate purpose"),
    ("elsewhere", {"host": "127.0.0.1"}, "name mismatch: the server's certificate is not for 127.0.0.1 but for elsewhere.example"),
    ("right", {"ca": "other_ca"}, "unknown CA: the server's certificate was issued by \"CN = ours\", which is not trusted by "),
    ("right", {"ca": None}, "which is not trusted by this system; name its certificate with --tls-ca"),
    ("plain", {}, "the server does not speak TLS on this port"),
    ("demanding", {}, "the server demands a client certificate; give it one with --tls-cert"),
    ("demanding", {"cert": "stranger"}, "the server refuses the client certificate in "),
    ("demanding", {"cert": "right"}, "the server refuses the client certificate in "),  # it is no client's
]


# All with the command, which is quick; the worker has the same way in, and is to end with it.
CASES = [("flotilla", *row) for row in REFUSALS] + [("flotillad", *row) for row in REFUSALS if row[0] in ("expired", "plain") or "other_ca" in
                                                    row[1].values() or row[1:2] == ({},) and row[0] in ("elsewhere", "demanding")]


@pytest.mark.parametrize("program, name, asked, words", CASES, ids=["-".join([*row[:2], *map(str, row[2].values())]) for row in CASES])
def test_the_wrong_server_is_refused_with_the_reason(fleet, papers, server, program, name, asked, words):
    ca = asked.get("ca", "ca")
    options = trusting(papers, cert=getattr(papers, asked["cert"]) if "cert" in asked else None, ca=ca and getattr(papers, ca)) if ca else []
    code, said = run(program, fleet, server, server.url(name, asked.get("host", "localhost")), options)
    assert (code, words in said) == (2, True), said
    assert "guest:guest" not in said


@pytest.mark.parametrize("name, host", [("right", "localhost"), ("right", "127.0.0.1")])
def test_the_right_server_by_name_and_by_address(fleet, papers, server, name, host):
    fleet.command(*server.check, server.option, server.url(name, host), *trusting(papers), check=0)


def test_whom_the_system_trusts(fleet, papers, server, tmp_path):
    """As one file, and as a directory with names by hash."""
    for env in ({"SSL_CERT_FILE": papers.ca}, {"SSL_CERT_DIR": str(tmp_path)}):
        shutil.copy(papers.ca, tmp_path / "ca.pem")
        subprocess.run(["openssl", "rehash", str(tmp_path)], check=True)
        fleet.command(*server.check, server.option, server.url("right"), env=env, check=0)


def test_with_a_certificate_of_the_clients(fleet, papers, server):
    fleet.command(*server.check, server.option, server.url("demanding"), *trusting(papers, papers.guest), check=0)


@pytest.mark.parametrize("program", ["flotilla", "flotillad"])
def test_a_server_with_tls_spoken_to_in_plain(fleet, papers, server, program):
    code, said = run(program, fleet, server, server.url("right", scheme=server.scheme[:-1]), [], patience="1s")
    assert code == 3 and "if it speaks TLS there, write %s://" % server.scheme in said, said


def test_nobody_there_is_away_and_not_refused(fleet, papers, server):
    server.ports["nobody"] = free_port()
    code, said = run("flotillad", fleet, server, server.url("nobody"), trusting(papers), patience="1s")
    assert code == 3 and "onnect" in said, said


def test_the_certificate_is_the_login(fleet, papers, rabbit):
    url = "amqps://localhost:%d/" % rabbit.ports["demanding"]
    fleet.command("broker", "apply", *trusting(papers, papers.guest), env={"FLOTILLA_AMQP_URL": url}, check=0)
    done = fleet.command("broker", "apply", *trusting(papers, papers.nobody), env={"FLOTILLA_AMQP_URL": url})
    assert done.returncode == 2 and "Login was refused using authentication mechanism EXTERNAL" in done.stderr, done.stderr
    done = fleet.command("broker", "apply", *trusting(papers, papers.guest), env={"FLOTILLA_AMQP_URL": url.replace("//", "//guest:wrong@")})
    assert done.returncode == 2 and "PLAIN" in done.stderr, "a password that stands in the URL is what counts\n" + done.stderr


# --- who is no server at all


class Odd:
    """Takes connections, and then does what no server should: `answer` is given each of them."""

    def __init__(self, answer):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.answer, self.closing, self.taken = answer, False, []
        threading.Thread(target=self.take, daemon=True).start()

    def take(self):
        while not self.closing:
            try:
                connection = self.socket.accept()[0]
            except OSError:
                return
            self.taken.append(connection)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        try:
            self.answer(self, connection)
        except OSError:
            pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.closing = True
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        for connection in self.taken:
            connection.close()


def silent(odd, connection):
    while not odd.closing and connection.recv(4096):
        pass


def half(_, connection):
    """The head of a record that never comes to its end."""
    connection.recv(4096)
    connection.sendall(b"\x16\x03\x03\x01\x00half")
    connection.shutdown(socket.SHUT_WR)


def drips(odd, connection):
    """A byte now and then: never silent, never done."""
    connection.recv(4096)
    for byte in b"\x16\x03\x03\x40\x00" + bytes(1000):
        if odd.closing:
            break
        connection.sendall(bytes([byte]))
        time.sleep(0.2)


@pytest.mark.parametrize("option, scheme, check", [("--amqp", "amqps", ["broker", "apply"]), ("--redis", "rediss", ["stats"])], ids=["rabbit", "redis"])
@pytest.mark.parametrize("answer, words", [(silent, ("no answer to the handshake", "takes too long")), (half, ("ended the connection during the handshake",)),
                                           (drips, ("takes too long", "no answer"))], ids=["silent", "half", "drips"])
def test_a_handshake_that_comes_to_no_end_has_a_limit(fleet, papers, option, scheme, check, answer, words):
    with Odd(answer) as odd:
        url = "%s://guest:guest@localhost:%d/" % (scheme, odd.port) if scheme == "amqps" else "%s://localhost:%d/0" % (scheme, odd.port)
        done = fleet.command(*check, option, url, *trusting(papers), timeout=30)
        assert done.returncode == 3 and any(word in done.stderr for word in words), done


def test_a_worker_is_not_held_by_a_handshake_that_comes_to_no_end(fleet, papers):
    with Odd(silent) as odd:
        for options in (["--amqp", "amqps://localhost:%d/" % odd.port], ["--redis", "rediss://localhost:%d/0" % odd.port]):
            worker = fleet.worker(*options, *trusting(papers), "--retry-services", "1s", ready=False)
            worker.process.wait(30)
            assert worker.process.returncode == 3, worker.log()


def test_older_than_tls_1_2(fleet, papers):
    port = free_port()
    cert, key = papers.right
    with subprocess.Popen(["openssl", "s_server", "-accept", str(port), "-cert", cert, "-key", key, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0", "-quiet"],
                          stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            until(lambda: subprocess.run(["sh", "-c", "exec 3<>/dev/tcp/127.0.0.1/%d" % port], executable="/bin/bash", check=False,
                                         capture_output=True).returncode == 0 or server.poll() is not None)
            if server.poll() is not None:
                pytest.skip("this OpenSSL serves nothing older than TLS 1.2")
            for option, url, check in (("--amqp", "amqps://localhost:%d/", ["broker", "apply"]), ("--redis", "rediss://localhost:%d/0", ["stats"])):
                done = fleet.command(*check, option, url % port, *trusting(papers))
                assert done.returncode == 2 and "the server does not speak TLS 1.2 or newer" in done.stderr, done
        finally:
            server.kill()


def answered(fleet, cert, host, *options, wrapper=()):
    """What the command says of a Redis with this certificate."""
    port = free_port()
    with OwnRedis("--tls-port", port, "--tls-cert-file", cert[0], "--tls-key-file", cert[1], "--tls-ca-cert-file", cert[0], "--tls-auth-clients", "no"):
        return subprocess.run([*wrapper, os.path.join(BUILD, "bin", "flotilla"), "stats", "--prefix", fleet.prefix, "--redis",
                               "rediss://%s:%d/0" % (host, port), *options], capture_output=True, text=True, timeout=30, check=False)


def test_not_yet_valid_and_an_authority_that_expired(fleet, tmp_path):
    young, old = Authority(tmp_path, "young"), Authority(tmp_path, "old", days=("20100101000000Z", "20200101000000Z"))
    done = answered(fleet, young.issue("early", "DNS:localhost", begins="20400101000000Z"), "localhost", "--tls-ca", young.cert)
    assert (done.returncode, "is not valid before Jan  1 00:00:00 2040" in done.stderr) == (2, True), done
    done = answered(fleet, old.issue("late", "DNS:localhost"), "localhost", "--tls-ca", old.cert)
    assert (done.returncode, "the server's CA certificate expired on Jan  1 00:00:00 2020" in done.stderr) == (2, True), done


@pytest.mark.skipif(subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True).returncode != 0, reason="no names of a test's own here")
@pytest.mark.parametrize("names, host, right", [("DNS:*.fleet.example", "mq.fleet.example", True), ("DNS:*.fleet.example", "a.mq.fleet.example", False),
                                                ("DNS:*.fleet.example", "fleet.example", False), ("DNS:m*.fleet.example", "mq.fleet.example", False),
                                                ("DNS:*", "localhost", False), ("DNS:127.0.0.1", "127.0.0.1", False), ("IP:127.0.0.2", "127.0.0.1", False),
                                                ("DNS:MQ.Fleet.Example", "mq.fleet.example", True)])
def test_a_star_is_one_whole_label_and_an_address_no_name(fleet, papers, tmp_path, names, host, right):
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 localhost mq.fleet.example a.mq.fleet.example fleet.example\n")
    ca = Authority(tmp_path, "names")
    done = answered(fleet, ca.issue("server", names), host, "--tls-ca", ca.cert,
                    wrapper=["unshare", "-m", "sh", "-c", "mount --bind \"$0\" /etc/hosts && exec \"$@\"", str(hosts)])
    assert done.returncode == (0 if right else 2) and right != ("name mismatch" in done.stderr), done


# --- RabbitMQ's management, whose password is an administrator's


def management(cert, asked):
    """Takes requests over TLS, notes the password of each, and lets nobody in."""
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.headers.get("Authorization"))
            self.send_error(401)

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*cert)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.mark.parametrize("name, ca, words", [("right", "ca", None), ("right", "other_ca", "issuer"), ("right", None, "issuer"), ("expired", "ca", "expired"),
                                             ("elsewhere", "ca", "match")])
def test_an_administrators_password_goes_to_the_right_management_only(fleet, papers, name, ca, words):
    with open(fleet.dir + "/users.yaml", "w", encoding="utf-8") as file:
        file.write("users: [{ name: a, role: stranger, password: x }]")
    asked = []
    server = management(getattr(papers, name), asked)
    try:
        done = fleet.command("broker", "apply", "--users", "users.yaml", "--management", "https://localhost:%d" % server.server_port,
                             *(["--tls-ca", getattr(papers, ca)] if ca else []))
        if words:
            assert (done.returncode, asked, words in done.stderr) == (3, [], True), done
        else:
            assert done.returncode == 2 and asked and asked[0].startswith("Basic ") and "administrator" in done.stderr, done
    finally:
        server.shutdown()
        server.server_close()


# --- the files


def test_files_that_cannot_be_used(fleet, papers, server, tmp_path):
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    cert, key = papers.guest
    for options, words in [
            (["--tls-ca", "/nowhere/ca.pem"], "tls_ca: /nowhere/ca.pem: No such file"),
            (["--tls-ca", empty], "tls_ca: %s: there is no certificate in PEM" % empty),
            (["--tls-cert", cert], "tls_cert: %s: there is no private key" % cert),
            (["--tls-key", key], "tls_key: %s: a key is of no use without tls_cert" % key),
            (["--tls-cert", cert, "--tls-key", papers.right[1]], "tls_key: %s: there is no private key of the certificate's" % papers.right[1])]:
        code, said = run("flotilla", fleet, server, server.url("right"), options)
        assert (code, words in said) == (2, True), said
    code, said = run("flotillad", fleet, server, server.url("right"), ["--tls-ca", "/nowhere/ca.pem"])
    assert (code, "tls_ca: /nowhere/ca.pem: No such file" in said) == (2, True), said


# --- work


class Lines:
    """Both connections of a fleet through proxies that can be cut, with TLS from end to end."""

    def __init__(self, rabbit, redis):
        self.rabbit, self.redis = Proxy(rabbit.ports["demanding"]), Proxy(redis.ports["demanding"])
        self.options = ["--amqp", "amqps://localhost:%d/" % self.rabbit.port, "--redis", "rediss://127.0.0.1:%d/0" % self.redis.port]

    def cut(self):
        self.rabbit.reset()
        self.redis.reset()

    def close(self):
        self.rabbit.close()
        self.redis.close()


@pytest.fixture
def lines(rabbit, secure_redis):
    lines = Lines(rabbit, secure_redis)
    yield lines
    lines.close()


@pytest.fixture
def secure(secure_redis):
    """A fleet whose test looks into Redis by a way without TLS."""
    fleet = Fleet(redis_url="redis://127.0.0.1:%d/0" % secure_redis.servers["demanding"].port)
    yield fleet
    fleet.close()


def showing(papers):
    cert, key = papers.guest
    return {"FLOTILLA_TLS_CA": papers.ca, "FLOTILLA_TLS_CERT": cert, "FLOTILLA_TLS_KEY": key}


WORKFLOW = """
defaults: { task: exec, argv: ["sh", "-c", "echo $FLOTILLA_ID >>%s"] }
jobs:
  one: { matrix: { n: [%s] } }
  two: { matrix: { m: [%s] }, after: [one] }
  three: { after: [two] }
"""


def test_a_workflow_whose_connections_are_cut(secure, papers, lines):
    log = secure.dir + "/log"
    for _ in range(2):
        secure.worker(*lines.options, "--allow-exec", "--slots", 4, env=showing(papers))
    with open(secure.dir + "/flow.yaml", "w", encoding="utf-8") as file:
        file.write(WORKFLOW % (log, *[", ".join(map(str, range(40)))] * 2))
    run = subprocess.Popen([os.path.join(BUILD, "bin", "flotilla"), "run", "flow.yaml", "--prefix", secure.prefix, *lines.options], cwd=secure.dir,
                           env={**os.environ, **showing(papers)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def done():
        return os.path.exists(log) and sum(1 for _ in open(log, encoding="utf-8"))
    for enough in (5, 35, 55, 75):
        until(lambda: (done() or 0) >= enough, 60, lambda: "%s jobs\n%s" % (enough, secure.logs()))
        lines.cut()
    out, err = run.communicate(timeout=90)
    assert run.returncode == 0, out + err + secure.logs()
    with open(log, encoding="utf-8") as file:
        ran = file.read().split()
    assert len(ran) == 81 and len(set(ran)) == 81, "each once"
    secure.settled()


def test_many_large_messages(secure, papers, lines):
    """More than all buffers on the way take, out of one program and into another, while both answer."""
    text = os.urandom(8000).hex()
    with open(secure.dir + "/jobs.jsonl", "w", encoding="utf-8") as file:
        for n in range(400):
            file.write(json.dumps({"id": "m%d" % n, "task": "noop", "args": [n, text]}) + "\n")
    secure.worker(*lines.options, "--slots", 8, env=showing(papers))
    secure.command("publish", secure.dir + "/jobs.jsonl", *lines.options, env=showing(papers), check=0)
    secure.wait_all(["m%d" % n for n in range(400)])
    assert all(secure.result("m%d" % n) == [n, text] for n in (0, 200, 399))
    assert secure.redis.hget(secure.key("stats"), "succeeded") == "400"


def test_a_handler_that_is_told_the_services_has_the_files_too(secure, papers, lines):
    """With the settings in a file, whose paths are the worker's, and every kind of command over TLS."""
    cert, key = papers.guest
    with open(cert, encoding="utf-8") as one, open(key, encoding="utf-8") as other, open(secure.dir + "/me.pem", "w", encoding="utf-8") as file:
        file.write(one.read() + other.read())
    shutil.copy(papers.ca, secure.dir + "/ca.pem")
    with open(secure.dir + "/fleet.yaml", "w", encoding="utf-8") as file:
        file.write("amqp_url: %s\nredis_url: %s\nprefix: %s\ntls_ca: ca.pem\ntls_cert: me.pem\n" % (
            lines.options[1], lines.options[3], secure.prefix))
    with open(secure.dir + "/handlers.yaml", "w", encoding="utf-8") as file:
        file.write("handlers:\n  child: { command: [%s/bin/flotilla, submit, noop, --id, of-the-handler], services: true }\n" % BUILD)
    secure.worker(*lines.options, "--config", "fleet.yaml", "--handlers", "handlers.yaml")
    config = [*lines.options, "--config", "fleet.yaml"]
    secure.command("submit", "child", "--id", "parent", "--wait", *config, check=0)
    assert secure.wait("of-the-handler")["state"] == "succeeded"
    for words in (["status", "parent"], ["wait", "parent"], ["result", "of-the-handler"], ["why", "parent"], ["workers"], ["stats"], ["ls"],
                  ["broker", "apply"], ["doctor"]):
        done = secure.command(*words, *config)
        assert done.returncode == 0, (words, done.stdout, done.stderr)


def test_a_server_that_turns_wrong_while_the_worker_runs(papers, rabbit, secure_redis):
    """Who comes back as another gets nothing, and ends the worker with the reason."""
    proxy = Proxy(secure_redis.ports["right"])
    fleet = Fleet(redis_url="redis://127.0.0.1:%d/0" % secure_redis.servers["right"].port)
    try:
        worker = fleet.worker("--redis", "rediss://localhost:%d/0" % proxy.port, *trusting(papers))
        proxy.target = secure_redis.ports["expired"]
        proxy.reset()
        until(lambda: worker.process.poll() is not None, 15, worker.log)
        assert worker.process.returncode == 2 and "certificate expired" in worker.log(), worker.log()
    finally:
        fleet.close()
        proxy.close()


def test_a_certificate_that_is_renewed_in_place_counts_from_the_next_connection(secure, papers, lines, tmp_path):
    """So does one that the servers do not take: that ends the worker, with the reason."""
    cert, key = (str(tmp_path / name) for name in ("me.pem", "me.key"))

    def put(pair):
        for path, source in ((cert, pair[0]), (key, pair[1])):
            shutil.copy(source, path)
    put(papers.guest)
    worker = secure.worker(*lines.options, "--tls-ca", papers.ca, "--tls-cert", cert, "--tls-key", key)
    put(papers.renewed)
    lines.cut()
    secure.command("submit", "noop", "--id", "behind", "--wait", *lines.options, env=showing(papers), check=0)
    put(papers.stranger)
    lines.cut()
    until(lambda: worker.process.poll() is not None, 20, worker.log)
    assert worker.process.returncode == 2 and "refuses the client certificate in " + cert in worker.log(), worker.log()


def test_the_certificates_of_the_page_as_printed(fleet, tmp_path):
    with open(os.path.join(ROOT, "docs", "tls.md"), encoding="utf-8") as file:
        typed = [line[4:] for line in file if line.startswith(("    openssl ", "    printf "))]
    assert len(typed) == 7
    subprocess.run(["sh", "-ec", "".join(typed)], cwd=tmp_path, check=True, timeout=60, capture_output=True)
    port = free_port()
    with OwnRedis("--tls-port", port, "--tls-cert-file", tmp_path / "server.pem", "--tls-key-file", tmp_path / "server.key", "--tls-ca-cert-file",
                  tmp_path / "ca.pem", "--tls-auth-clients", "yes"):
        options = ["--redis", "rediss://localhost:%d/0" % port, "--tls-ca", tmp_path / "ca.pem"]
        fleet.command("stats", *options, "--tls-cert", tmp_path / "worker.pem", "--tls-key", tmp_path / "worker.key", check=0)
        done = fleet.command("stats", *options)
        assert done.returncode == 2 and "demands a client certificate" in done.stderr
