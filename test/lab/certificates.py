"""Certificates for servers of a test, by openssl."""
import subprocess


def make_certificates(folder, ip):
    """ca.crt, which has signed server.crt for that address, and another.crt, which has not."""
    def openssl(*args):
        subprocess.run(["openssl", *args], cwd=folder, check=True, timeout=60, capture_output=True)
    new = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    for name in ("ca", "another"):
        openssl(*new, "-x509", "-days", "2", "-subj", f"/CN=CA {name}", "-keyout", f"{name}.key",
                "-out", f"{name}.crt")
    (folder / "names").write_text(f"subjectAltName=IP:{ip}\n")
    openssl(*new, "-subj", f"/CN={ip}", "-keyout", "server.key", "-out", "server.csr")
    openssl("x509", "-req", "-days", "2", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key",
            "-CAcreateserial", "-extfile", "names", "-out", "server.crt")
