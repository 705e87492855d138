"""Images out of Debian packages for the benchmarks of lazy start; each is made once, with apt and umoci, and
kept below build/lab-images/.

    image = images.make("python")   # an OCI layout, its tag, its layers, a command whose output is useful
"""
import json
import pathlib
import shutil
import subprocess
import tempfile

from lab import ROOT, sh
from skimmer import download_packages, image_layers, unpack_archives

BASE = ["busybox-static", "bash", "coreutils", "dpkg", "apt", "findutils", "grep", "sed", "tar", "perl-base",
        "login", "util-linux", "debconf", "tzdata", "ca-certificates"]
SCIENCE = ["numpy", "scipy", "pandas", "matplotlib", "sklearn", "sympy", "skimage", "statsmodels", "numba",
           "networkx", "h5py", "tables"]
NGINX_CONF = """daemon off; user root; pid /run/nginx.pid; error_log stderr; events {} http { access_log off;
 server { listen 8081; location / { return 200 "42\\n"; } } }
"""
PYTHON = "import numpy, pandas, scipy.linalg; print(int(pandas.Series(numpy.arange(7)).sum() * 2))"
NGINX = ("/usr/sbin/nginx -c /etc/nginx/lab.conf & "
         "until busybox wget -q -O - http://127.0.0.1:8081/ 2>/dev/null; do busybox usleep 20000; done")
LIBS = "/usr/lib/x86_64-linux-gnu"


class Image:
    """groups: packages of each layer, or the number of layers that they are dealt out to."""

    def __init__(self, name, groups, command, files=None, env=(), split=0):
        self.name, self.groups, self.command = name, groups, command
        self.files, self.env, self.split = files or {}, env, split
        self.where = ROOT / "build/lab-images" / name
        self.layout, self.tag = self.where / "oci", name

    def make(self):
        if not (self.where / "done").exists():
            shutil.rmtree(self.where, ignore_errors=True)
            self.where.mkdir(parents=True)
            self.build()
            (self.where / "done").write_text("")
        self.layers, self.sizes = image_layers(self.layout, self.tag)
        return self

    def build(self):
        at = f"{self.layout}:{self.tag}"
        sh("umoci", "init", "--layout", str(self.layout))
        sh("umoci", "new", "--image", at)
        seen = set()
        for number, packages in enumerate(self.groups):
            debs = [d for d in download_packages(self.where, packages) if d.name not in seen]
            seen |= {d.name for d in debs}
            parts = [debs[n::self.split] for n in range(self.split)] if self.split else [debs]
            for part_number, part in enumerate(parts):
                rootfs = unpack_archives(self.where, part)
                if number == part_number == 0:
                    self.put_files(rootfs)
                if self.split:
                    (rootfs / f"layer{part_number}").write_text(f"{part_number}\n")
                sh("umoci", "insert", "--image", at, str(rootfs), "/")
                shutil.rmtree(rootfs)
        shutil.rmtree(self.where / "archives")
        config = [x for e in self.env for x in ("--config.env", e)]
        sh("umoci", "config", "--image", at, *config, "--config.cmd", self.command[0])
        sh("umoci", "gc", "--layout", str(self.layout))

    def put_files(self, rootfs):
        for path, text in {"etc/passwd": "root:x:0:0:root:/root:/bin/sh\n", "etc/group": "root:x:0:\n",
                           "tmp/.keep": "", "run/.keep": "", "var/log/nginx/.keep": "",
                           "var/lib/nginx/.keep": "", **self.files}.items():
            (rootfs / path).parent.mkdir(parents=True, exist_ok=True)
            (rootfs / path).write_text(text)


def all_images():
    return {i.name: i for i in (
        Image("python", [BASE, ["python3"], [f"python3-{p}" for p in SCIENCE]],
              ["/usr/bin/python3", "-c", PYTHON],
              env=[f"LD_LIBRARY_PATH={LIBS}/blas:{LIBS}/lapack"]),
        Image("nginx", [BASE, ["nginx-extras"]], ["/bin/busybox", "sh", "-c", NGINX],
              files={"etc/nginx/lab.conf": NGINX_CONF}),
        Image("layers60", [["busybox-static", "python3", "git", "curl", "procps", "iproute2", "vim-tiny"]],
              ["/usr/bin/python3", "-c", "import json, re; print(6 * 7)"], split=60),
        Image("layers127", [["busybox-static", "python3", "git", "curl", "procps", "iproute2", "vim-tiny"]],
              ["/usr/bin/python3", "-c", "import os; print(sum(n.startswith('layer') for n in os.listdir('/')))"],
              split=127),
        Image("java", [BASE, ["default-jre-headless"]],
              ["/bin/busybox", "sh", "-c", "for j in /usr/lib/jvm/java-*-openjdk-*/bin/java; do exec $j --list-modules; done"]))}


def make(name):
    return all_images()[name].make()
