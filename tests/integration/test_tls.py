"""amqps and rediss with real certificates, against RabbitMQ and Redis themselves: the right server is talked to, every other is
refused by both programs with an error that says what is wrong with it, and nothing is sent to it before."""
import os
import socket
import subprocess
import types

import pytest

from fleet import BUILD, ROOT
from own_redis import free_port
from pki import Authority


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
    papers.nobody = ours.issue("nobody", usage="clientAuth")
    papers.stranger = strangers.issue("stranger", usage="clientAuth")
    return papers


# --- servers: each gives a port for a certificate, another that demands one of the client, and one without TLS


class Rabbit:
    """Further listeners of the RabbitMQ that is there, opened while it runs."""
    program_url = "FLOTILLA_AMQP_URL"
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


@pytest.fixture(params=["rabbit"])
def server(request):
    return request.getfixturevalue(request.param)


# --- both programs


def trusting(papers, cert=None, ca=None):
    """Options that both programs take."""
    options = ["--tls-ca", ca or papers.ca]
    return options + (["--tls-cert", cert[0], "--tls-key", cert[1]] if cert else [])


def run(program, fleet, server, url, options):
    """What a program that cannot get in says, and its exit code."""
    if program == "flotilla":
        done = fleet.command(*server.check, *options, env={server.program_url: url})
        return done.returncode, done.stderr
    worker = fleet.worker(*options, "--retry-services", "1s", env={server.program_url: url}, ready=False)
    worker.process.wait(30)
    return worker.process.returncode, worker.log()


REFUSALS = [  # the server's certificate, what is asked for, the words
    ("expired", {}, "certificate expired on Jan  1 00:00:00 2021"),
    ("elsewhere", {}, "name mismatch: the server's certificate is not for localhost but for elsewhere.example"),
    ("nameless", {}, "name mismatch: the server's certificate is not for localhost but for no host"),
    ("client_only", {}, "certificate is not accepted: unsuitable certificate purpose"),
    ("right", {"host": "127.0.0.2"}, "name mismatch: the server's certificate is not for 127.0.0.2 but for localhost, 127.0.0.1"),
    ("right", {"ca": "other_ca"}, "unknown CA: the server's certificate was issued by \"CN = ours\", which is not trusted by "),
    ("right", {"ca": None}, "which is not trusted by this system; name its certificate with --tls-ca"),
    ("plain", {}, "the server does not speak TLS on this port"),
    ("demanding", {}, "the server demands a client certificate; give it one with --tls-cert"),
    ("demanding", {"cert": "stranger"}, "the server refuses the client certificate in "),
    ("demanding", {"cert": "right"}, "the server refuses the client certificate in "),  # it is no client's
]


@pytest.mark.parametrize("program", ["flotilla", "flotillad"])
@pytest.mark.parametrize("name, asked, words", REFUSALS, ids=["-".join([row[0], *map(str, row[1].values())]) for row in REFUSALS])
def test_the_wrong_server_is_refused_with_the_reason(fleet, papers, server, program, name, asked, words):
    if asked.get("host") == "127.0.0.2" and server.scheme == "amqps":
        pytest.skip("the listeners are of one address")
    ca = asked.get("ca", "ca")
    options = trusting(papers, cert=getattr(papers, asked["cert"]) if "cert" in asked else None, ca=ca and getattr(papers, ca)) if ca else []
    code, said = run(program, fleet, server, server.url(name, asked.get("host", "localhost")), options)
    assert (code, words in said) == (2, True), said
    assert "guest:guest" not in said


@pytest.mark.parametrize("name, host", [("right", "localhost"), ("right", "127.0.0.1")])
def test_the_right_server_by_name_and_by_address(fleet, papers, server, name, host):
    fleet.command(*server.check, *trusting(papers), env={server.program_url: server.url(name, host)}, check=0)


def test_with_a_certificate_of_the_clients(fleet, papers, server):
    fleet.command(*server.check, *trusting(papers, papers.guest), env={server.program_url: server.url("demanding")}, check=0)


@pytest.mark.parametrize("program", ["flotilla", "flotillad"])
def test_a_server_with_tls_spoken_to_in_plain(fleet, papers, server, program):
    code, said = run(program, fleet, server, server.url("right", scheme=server.scheme[:-1]), [])
    assert code == 3 and "if it speaks TLS there, write %s://" % server.scheme in said, said


@pytest.mark.parametrize("program", ["flotilla", "flotillad"])
def test_nobody_there_is_away_and_not_refused(fleet, papers, server, program):
    server.ports["nobody"] = free_port()
    code, said = run(program, fleet, server, server.url("nobody"), trusting(papers))
    assert code == 3 and "onnect" in said, said


def test_the_certificate_is_the_login(fleet, papers, rabbit):
    url = "amqps://localhost:%d/" % rabbit.ports["demanding"]
    fleet.command("broker", "apply", *trusting(papers, papers.guest), env={"FLOTILLA_AMQP_URL": url}, check=0)
    done = fleet.command("broker", "apply", *trusting(papers, papers.nobody), env={"FLOTILLA_AMQP_URL": url})
    assert done.returncode == 2 and "Login was refused using authentication mechanism EXTERNAL" in done.stderr, done.stderr
    done = fleet.command("broker", "apply", *trusting(papers, papers.guest), env={"FLOTILLA_AMQP_URL": url.replace("//", "//guest:wrong@")})
    assert done.returncode == 2 and "PLAIN" in done.stderr, "a password that stands in the URL is what counts\n" + done.stderr


# --- the files


@pytest.mark.parametrize("program", ["flotilla", "flotillad"])
def test_files_that_cannot_be_used(fleet, papers, server, program, tmp_path):
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    cert, key = papers.guest
    for options, words in [
            (["--tls-ca", "/nowhere/ca.pem"], "tls_ca: /nowhere/ca.pem: No such file"),
            (["--tls-ca", empty], "tls_ca: %s: there is no certificate in PEM" % empty),
            (["--tls-cert", cert], "tls_cert: %s: there is no private key" % cert),
            (["--tls-key", key], "tls_key: %s: a key is of no use without tls_cert" % key),
            (["--tls-cert", cert, "--tls-key", papers.right[1]], "tls_key: %s: there is no private key of the certificate's" % papers.right[1])]:
        code, said = run(program, fleet, server, server.url("right"), options)
        assert (code, words in said) == (2, True), said
