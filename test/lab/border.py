"""What two groups of a lab's hosts send to each other: counted, or cut.

    border = Border([a, b], [c, d])
    border.packets()        # (packets, bytes) that were sent from either side to the other
    border.cut()            # from now on nothing arrives; what is sent is still counted
    border.heal()

Each host counts what it sends itself (nftables, in its own network), so that what the switch drops is
counted too. Only TCP, UDP and what else has an IP address: ARP is not told apart.
"""
import re

from lab import LabError


class Border:
    def __init__(self, here, there):
        self.sides = [(h, there) for h in here] + [(h, here) for h in there]
        for host, others in self.sides:
            self._nft(host, "add table inet border", "add counter inet border sent",
                      "add chain inet border out { type filter hook output priority 0; }",
                      *(f"add rule inet border out {family} daddr {{ {', '.join(addresses)} }} "
                        "counter name sent"
                        for family, addresses in (("ip", [o.ip for o in others]),
                                                  ("ip6", [o.ip6 for o in others]))))

    @staticmethod
    def _nft(host, *lines):
        return host.run("nft", "; ".join(lines))

    def packets(self):
        total = [0, 0]
        for host, _ in self.sides:
            m = re.search(r"packets (\d+) bytes (\d+)",
                          self._nft(host, "list counter inet border sent"))
            if not m:
                raise LabError(f"{host.name} has no counter")
            total = [total[0] + int(m[1]), total[1] + int(m[2])]
        return tuple(total)

    def cut(self):
        for host, others in self.sides:
            self._nft(host, "add chain inet border in { type filter hook input priority 0; }",
                      f"add rule inet border in ip saddr {{ {', '.join(o.ip for o in others)} }} "
                      "drop",
                      f"add rule inet border in ip6 saddr {{ {', '.join(o.ip6 for o in others)} }} "
                      "drop")

    def heal(self):
        for host, _ in self.sides:
            self._nft(host, "flush chain inet border in")
