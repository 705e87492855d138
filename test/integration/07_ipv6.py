"""Everything over IPv6: origin, scheduler, manager, peers, mount."""
import hashlib
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import story
from lab import Lab
from skimmer import Daemon, Manager, Nginx, Scheduler, random_file
from story import equal

SIZE = 20 << 20


def test_a_file_from_origin_and_peer_over_ipv6():
    with Lab() as lab:
        origin, control = lab.host("origin"), lab.host("control")
        web = origin.dir / "web"
        web.mkdir()
        digest = random_file(web / "blob", SIZE)
        Nginx(origin, web)
        manager = Manager(control)
        manager.addr = f"[{control.ip6}]:65003"
        Scheduler(control, manager, config={"server": {"advertiseIP": control.ip6}})
        nodes = []
        for name in ("a", "b"):
            host = lab.host(name)
            nodes.append(Daemon(host, manager, config={
                "host": {"ip": host.ip6}, "network": {"enableIPv6": True}}))
        for n in nodes:
            n.in_swarm()
            # Not one packet of IPv4 can leave.
            n.host.run("ip", "addr", "flush", "dev", "eth0", "scope", "global")
            n.host.run("ip", "-6", "addr", "add", f"{n.host.ip6}/64", "dev", "eth0", "nodad")
        for n in nodes:
            with open(n.mount / "http" / f"[{origin.ip6}]" / "blob", "rb") as f:
                equal(hashlib.sha256(f.read()).hexdigest(), digest, f"what {n.host.name} reads")
        equal(nodes[1].traffic("REMOTE_PEER"), SIZE, "bytes that b had from a")


story.run(globals())
