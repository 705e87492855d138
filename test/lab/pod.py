"""A pod of the chart's on a host of the lab: the rendered container's command, with the rendered files as they are.

Its root is the one that script/images gives an image, with this machine's /usr and the programs that were built; the
volumes are folders of the host. All of it stands in a mount namespace, so that no path of the machine is used:

    python3 pod.py SPEC        makes the root that SPEC tells of and becomes the program
"""
import ctypes
import importlib.machinery
import importlib.util
import json
import os
import pathlib
import socket
import subprocess
import sys

MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_SLAVE = 1, 32, 4096, 16384, 1 << 19
USR = ("bin", "sbin", "lib", "lib64", "libexec")
CONSOLE = "usr/share/skimmer/console"


def images_script(root):
    path = str(root / "script/images")
    spec = importlib.util.spec_from_loader("images", importlib.machinery.SourceFileLoader("images", path))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ---- outside: on the host

class Pod:
    """objects: {(kind, name): document} of what was rendered. names: {DNS name: address}."""

    def __init__(self, host, workload, objects, names, secrets=None):
        from lab import BIN, ROOT
        template = workload["spec"]["template"]["spec"]
        self.host, self.container = host, template["containers"][0]
        self.name = workload["metadata"]["name"]
        self.security = {**template.get("securityContext", {}), **self.container["securityContext"]}
        self.secrets = {n: d["stringData"] for (kind, n), d in objects.items() if kind == "Secret"} | (secrets or {})
        self.volumes = {v["name"]: v for v in template["volumes"]}
        for claim in workload["spec"].get("volumeClaimTemplates", ()):
            self.volumes[claim["metadata"]["name"]] = {}
        (host.dir / "root").mkdir()
        spec = {"name": self.name, "repository": str(ROOT), "bin": str(BIN), "root": str(host.dir / "root"),
                "hosts": "".join(f"{ip} {name}\n" for name, ip in {"localhost": "127.0.0.1", **names}.items()),
                "mounts": [self.mount(m) for m in self.container["volumeMounts"]],
                "security": self.security, "command": self.container["command"]}
        file = host.dir / "pod.json"
        file.write_text(json.dumps(spec))
        env = {k: v for source in self.container.get("envFrom", ()) for k, v in
               objects["ConfigMap", source["configMapRef"]["name"]]["data"].items()}
        self.process = host.start(["unshare", "--mount", "--uts", "--propagation=unchanged", sys.executable, __file__,
                                   file], name=self.name, env=env)

    def folder(self, volume):
        return self.host.dir / f"volume-{volume}"

    def write_secret(self, folder, secretName, defaultMode=0o644):
        """Files of root's; a group that the pod has may read them."""
        group = self.security.get("fsGroup")
        for name, text in self.secrets[secretName].items():
            file = folder / name
            file.write_text(text)
            file.chmod(defaultMode | (0 if group is None else 0o040))
            os.chown(file, 0, group or 0)

    def mount(self, m):
        """[folder, where, whether read only, whether mounts in it are seen outside]"""
        volume, folder = self.volumes[m["name"]], self.folder(m["name"])
        shared = m.get("mountPropagation") == "Bidirectional"
        if not folder.exists():
            folder.mkdir()
            if "secret" in volume:
                self.write_secret(folder, **volume["secret"])
            elif "hostPath" not in volume and "fsGroup" in self.security:
                os.chown(folder, 0, self.security["fsGroup"])
                folder.chmod(0o2775)
            if shared:
                subprocess.run(["mount", "--bind", folder, folder], check=True)
                subprocess.run(["mount", "--make-shared", folder], check=True)
        return [str(folder), m["mountPath"], m.get("readOnly", False), shared]

    def is_ready(self):
        """What the kubelet would find."""
        probe = self.container["readinessProbe"]
        kind = "httpGet" if "httpGet" in probe else "tcpSocket"
        port = next(p["containerPort"] for p in self.container["ports"] if p["name"] == probe[kind]["port"])
        if kind == "tcpSocket":
            return subprocess.run(self.host.enter("bash", "-c", f"exec 3<>/dev/tcp/{self.host.ip}/{port}"),
                                  capture_output=True, timeout=30).returncode == 0
        scheme = probe[kind].get("scheme", "HTTP").lower()
        insecure = ["--insecure"] if scheme == "https" else []  # as the kubelet does
        p = subprocess.run(self.host.enter(
            "curl", *insecure, "-s", "--noproxy", "*", "--max-time", "10", "-o", "/dev/null", "-w", "%{http_code}",
            f"{scheme}://{self.host.ip}:{port}{probe[kind]['path']}"), capture_output=True, text=True)
        return p.stdout == "200"


# ---- inside: in the namespaces

def mount(source, target, kind="", flags=0, data=""):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(os.fsencode(source), os.fsencode(target), kind.encode(), flags, data.encode()):
        raise OSError(ctypes.get_errno(), f"mount {source} at {target}: {os.strerror(ctypes.get_errno())}")


def keep_to_ourselves(shared):
    """Only what is mounted below these folders is seen outside."""
    for line in open("/proc/self/mountinfo"):
        at = line.split()[4]
        if at not in shared and "shared:" in line:
            mount("", at, flags=MS_SLAVE)


def bind(source, target, read_only=False):
    os.makedirs(target, exist_ok=True)
    mount(source, target, flags=MS_BIND | MS_REC)
    if read_only:
        mount("", target, flags=MS_BIND | MS_REMOUNT | MS_RDONLY)


def make_skeleton(root, repository):
    """What every image begins with, and below /usr this machine's programs and libraries."""
    skeleton = images_script(repository).skeleton()
    for path, (mode, content) in skeleton.items():
        at = root / path
        if path.startswith("usr/"):
            continue
        at.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            at.mkdir(exist_ok=True)
            at.chmod(mode)
        elif isinstance(content, str):
            at.symlink_to(content)
        else:
            at.write_bytes(content)
    for name in USR:
        if os.path.isdir(f"/usr/{name}"):
            bind(f"/usr/{name}", root / "usr" / name)
    (root / CONSOLE).mkdir(parents=True)


def enter(spec):
    root = pathlib.Path(spec["root"])
    keep_to_ourselves({folder for folder, _, _, shared in spec["mounts"] if shared})
    mount("root", root, "tmpfs", data="mode=755")
    make_skeleton(root, pathlib.Path(spec["repository"]))
    (root / "etc/hosts").write_text(spec["hosts"])
    for name in ("proc", "sys", "dev"):
        bind(f"/{name}", root / name)
    bind(spec["bin"], root / "opt/skimmer")
    for folder, where, read_only, _ in spec["mounts"]:
        # /var/run is a link whose target begins with /.
        bind(folder, f"{root}{where.replace('/var/run/', '/run/', 1)}", read_only)
    if spec["security"].get("readOnlyRootFilesystem"):
        mount("", root, flags=MS_BIND | MS_REMOUNT | MS_RDONLY)
    socket.sethostname(f"{spec['name']}-0")
    os.chroot(root)
    os.chdir("/")


def main():
    spec = json.loads(pathlib.Path(sys.argv[1]).read_text())
    security, command = spec["security"], spec["command"]
    enter(spec)
    if not security.get("privileged"):
        command = ["setpriv", f"--reuid={security['runAsUser']}", f"--regid={security['runAsGroup']}",
                   f"--groups={security.get('fsGroup', security['runAsGroup'])}", "--bounding-set=-all",
                   "--inh-caps=-all", "--no-new-privs", "--", *command]
    os.environ["PATH"] = "/opt/skimmer:/usr/sbin:/usr/bin"
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
