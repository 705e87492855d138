"""Certificates of a test, by openssl."""
import subprocess

NEW = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def openssl(folder, *args):
    subprocess.run(["openssl", *args], cwd=folder, check=True, timeout=60, capture_output=True)


class Authority:
    """A CA of its own; its files are folder/<name>.{crt,key}."""

    def __init__(self, folder, name):
        self.folder, self.name = folder, name
        openssl(folder, *NEW, "-x509", "-days", "2", "-subj", f"/CN=CA {name}", "-keyout", f"{name}.key",
                "-out", f"{name}.crt")

    def sign(self, name, alternative):
        """folder/<name>.{crt,key}, made out for the alternative name ("IP:10.0.0.1"); as the keys of a configuration."""
        (self.folder / "names").write_text(f"subjectAltName={alternative}\n")
        openssl(self.folder, *NEW, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        openssl(self.folder, "x509", "-req", "-days", "2", "-in", f"{name}.csr", "-CA", f"{self.name}.crt", "-CAkey",
                f"{self.name}.key", "-CAcreateserial", "-extfile", "names", "-out", f"{name}.crt")
        return {"caCert": str(self.folder / f"{self.name}.crt"), "cert": str(self.folder / f"{name}.crt"),
                "key": str(self.folder / f"{name}.key")}


def make_certificates(folder, ip):
    """ca.crt, which has signed server.crt for that address, and another.crt, which has not."""
    Authority(folder, "ca").sign("server", f"IP:{ip}")
    Authority(folder, "another")
