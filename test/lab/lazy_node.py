"""A node on which images start before they are there."""
from skimmer import Containerd, Daemon, Snapshotter

K8S = "k8s.io"


class LazyNode:
    """A daemon of the manager's cluster, containerd-skimmer, and a containerd that uses it; host is the lab's."""

    def __init__(self, host, manager, registry, config):
        self.host = host
        self.daemon = Daemon(host, manager, config=config)
        self.daemon.in_swarm()
        self.snapshotter = Snapshotter(host)
        self.programs = [self.daemon.process, self.snapshotter.process]
        self.containerd = Containerd(host, registries=[registry.addr], cri=True, snapshotter=self.snapshotter)

    def lazy(self):
        """How many layers have been mounted before they were there."""
        return self.snapshotter.process.log_text().count('"layer is lazy"')
