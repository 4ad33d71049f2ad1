"""Certificates of a test's own, made by openssl: an authority, and what it issues."""
import os
import subprocess

CONFIG = """
[ca]
default_ca = here
[here]
database = %(dir)s/index.txt
new_certs_dir = %(dir)s
serial = %(dir)s/serial
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = supplied
[extensions]
basicConstraints = critical, CA:false
extendedKeyUsage = %(usage)s
%(names)s
"""
YEAR = 365


def openssl(*words):
    done = subprocess.run(["openssl", *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


class Authority:
    def __init__(self, directory, name, days=("20200101000000Z", "20450101000000Z")):
        self.dir = os.path.join(str(directory), name)
        os.makedirs(self.dir)
        self.cert, self.key = self.dir + "/ca.pem", self.dir + "/ca.key"
        open(self.dir + "/index.txt", "w", encoding="utf-8").close()
        request, config = self.dir + "/ca.csr", self.dir + "/ca.cnf"
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=" + name, "-keyout", self.key, "-out", request)
        with open(config, "w", encoding="utf-8") as file:
            file.write(CONFIG % {"dir": self.dir, "usage": "serverAuth", "names": "[authority]\nbasicConstraints = critical, CA:true"})
        openssl("ca", "-batch", "-selfsign", "-rand_serial", "-notext", "-config", config, "-keyfile", self.key, "-extensions", "authority",
                "-startdate", days[0], "-enddate", days[1], "-in", request, "-out", self.cert)

    def issue(self, name, names="", usage="serverAuth", begins="20200101000000Z", ends="20450101000000Z", file=None):
        """Paths of a certificate and its key. `names`: its subjectAltName; it is valid from `begins` to `ends`, YYYYMMDDHHMMSSZ."""
        cert, key, request, config = (os.path.join(self.dir, (file or name) + end) for end in (".pem", ".key", ".csr", ".cnf"))
        with open(config, "w", encoding="utf-8") as file:
            file.write(CONFIG % {"dir": self.dir, "usage": usage, "names": "subjectAltName = " + names if names else ""})
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=" + name, "-keyout", key, "-out", request)
        openssl("ca", "-batch", "-rand_serial", "-notext", "-config", config, "-cert", self.cert, "-keyfile", self.key, "-extensions",
                "extensions", "-startdate", begins, "-enddate", ends, "-in", request, "-out", cert)
        return cert, key
