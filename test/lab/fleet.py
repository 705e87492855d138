"""Many peers in a manager's database."""
import sqlite3
import time


def add_peers(path, count):
    """What `count` daemons of two data centres would have said, in an sqlite database that nobody uses."""
    now = int(time.time() * 1000)
    with sqlite3.connect(path) as db:
        db.executemany(
            "INSERT INTO peers (host_name, type, idc, location, ip, port, download_port, proxy_port, state,"
            " os, platform, platform_family, platform_version, kernel_version, git_version, git_commit,"
            " build_platform, scheduler_cluster_id, created_ms, updated_ms)"
            " VALUES (?, 'normal', ?, 'eu|de|fra', ?, 4000, 4005, 4001, ?, 'linux', 'debian', 'debian',"
            " '12', '6.1.0', 'skimmer-1.0.0', '0123456789abcdef', 'x86_64', 1, ?, ?)",
            [(f"node-{i:05}.example.com", f"idc-{i % 2}", f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}",
              "active" if i % 50 else "inactive", now, now) for i in range(count)])
