"""A manager and its database server: the server restarts, goes away and comes back, loses a
connection in the middle of a change; tables of every earlier version are lifted, strange ones are
refused."""
import atexit
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import databases
import story
from lab import BIN, wait_for
from story import check, equal

TOOL = BIN.parent / "test" / "db_tool"


class Manager:
    def __init__(self, database, name="manager", more=None):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="skimmer-73-"))
        self.port, self.token = databases.free_port(), ""
        section = database.config(name)
        section[database.section].update(more or {})
        self.file = self.dir / "manager.yaml"
        self.file.write_text(json.dumps({
            "server": {"grpc": {"listenIP": "127.0.0.1", "port": {"start": databases.free_port()}},
                       "rest": {"addr": f"127.0.0.1:{self.port}"}},
            "auth": {"keyFile": str(self.dir / "key")}, "database": section}))

    def start(self):
        self.process = subprocess.Popen([BIN / "manager", "--config", self.file],
                                        stderr=open(self.dir / "log", "ab"))
        atexit.register(self.process.kill)  # of what has ended it does nothing
        wait_for("manager", self.is_ready, timeout_s=60)
        self.token = self.ask("POST", "users/signin",
                              {"name": "root", "password": "dragonfly"})[1]["token"]
        return self

    def is_ready(self):
        check(self.process.poll() is None, self.said())
        try:
            return self.ask("GET", "/healthy")[0] == 200
        except OSError:
            return False

    def ask(self, method, path, body=None, timeout=60):
        """(status, JSON, headers)"""
        url = path if path.startswith("/") else f"/api/v1/{path}"
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{url}", method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.token}"} if self.token else {})
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return answer.status, json.loads(answer.read() or b"null"), answer.headers
        except urllib.error.HTTPError as answer:
            return answer.code, json.loads(answer.read() or b"null"), answer.headers

    def said(self):
        return (self.dir / "log").read_text()

    def stop(self):
        self.process.terminate()
        equal(self.process.wait(60), 0, "its end")
        self.forget()

    def forget(self):
        shutil.rmtree(self.dir)


def refused(manager):
    """What a manager says that does not start."""
    done = subprocess.run([BIN / "manager", "--config", manager.file], capture_output=True,
                          text=True, timeout=60)
    check(done.returncode != 0, "it ends with an error")
    manager.forget()
    return done.stderr


def every_earlier_version_is_lifted(d):
    newest = int(subprocess.run([TOOL, "-", "0"], check=True, capture_output=True).stdout)
    for version in range(1, newest):
        name = f"version{version}"
        d.make_database(name)
        m = Manager(d, name)
        subprocess.run([TOOL, m.file, str(version)], check=True, timeout=60)
        equal(d.sql("SELECT version FROM schema_version", name), str(version), "an old database")
        d.sql("INSERT INTO applications (name, url, created_ms, updated_ms)"
              " VALUES ('kept', 'https://x', 1700000000000, 1)", name)
        d.sql("UPDATE scheduler_clusters SET bio = 'kept'", name)
        if version == 1:
            n = Manager(d, name, {"migrate": False})
            check("let it migrate" in (text := refused(n)), text)
        m.start()
        equal(d.sql("SELECT version FROM schema_version", name), str(newest), "lifted")
        row = m.ask("GET", "applications")[1][0]
        equal((row["name"], row["created_at"]), ("kept", "2023-11-14T22:13:20.000Z"), "a row")
        equal([c["bio"] for c in m.ask("GET", "clusters")[1]], ["kept"], "another, once")
        m.stop()
    d.sql(f"UPDATE schema_version SET version = {newest + 1}", "version1")
    check("this program knows" in (text := refused(Manager(d, "version1"))), text)


def strange_tables_are_refused(d):
    d.make_database("strange")
    d.sql("CREATE TABLE users (id INT)", "strange")
    check("1 tables of another program" in (text := refused(Manager(d, "strange"))), text)


def a_wrong_password_is_told_but_not_shown(d):
    text = refused(Manager(d, more={"password": "planted-wrong-password"}))
    check("127.0.0.1" in text and "planted" not in text, text)


def the_server_shows_its_certificate(d, tls, is_secure):
    """tls(CA file) are the keys that have the certificate checked."""
    d.make_database("tls")
    m = Manager(d, "tls", tls(d.dir / "ca.crt")).start()
    check(is_secure(d), "the connection is by TLS")
    equal(m.ask("GET", "clusters")[0], 200, "a request")
    m.stop()
    text = refused(Manager(d, "tls", tls(d.dir / "another.crt")))
    check(f"with the authorities in {d.dir}/another.crt" in text and "planted" not in text, text)


def postgres_tls(ca):
    return {"sslMode": "verify-full", "sslRootCert": str(ca)}


def postgres_is_secure(d):
    return d.sql("SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)"
                 " WHERE application_name = 'skimmer-manager'") == "t"


def mariadb_tls(ca):
    return {"tlsConfig": "true", "tls": {"ca": str(ca)}}


def mariadb_is_secure(d):
    return int(d.sql("SHOW GLOBAL STATUS LIKE 'Ssl_finished_accepts'").split()[1]) > 0


def a_restart_of_the_server_is_not_noticed(d, m):
    d.stop(d.at_once)
    d.start()
    equal(m.ask("GET", "clusters")[0], 200, "the first request after it")


def a_server_that_is_away_is_503(d, m):
    d.stop(d.at_once)
    for method, path, body in (("GET", "clusters", None), ("POST", "clusters", {"name": "lost"}),
                               ("POST", "users/signin", {"name": "root", "password": "x" * 8})):
        status, answer, headers = m.ask(method, path, body)
        equal((status, headers["Retry-After"]), (503, "1"), f"{method} {path} -> {answer}")
        check("database" in answer["message"], answer)
    equal(m.ask("GET", "/healthy")[0], 200, "the manager goes on")
    equal(m.said().count("the database is away"), 1, "lines in the log")
    d.start()
    wait_for("the database is back", lambda: m.ask("GET", "clusters")[0] == 200, timeout_s=60)
    check("the database is back" in m.said(), "said in the log")
    equal([c["name"] for c in m.ask("GET", "clusters")[1]], ["cluster-1"], "what was refused is not")


def a_connection_lost_in_a_change_takes_it_back(d, m, wait, kill):
    """Somebody holds the lock that the change waits for; its connection is killed meanwhile."""
    holder = subprocess.Popen(wait, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    holder.stdin.write("BEGIN; SELECT version FROM schema_version FOR UPDATE;\n")
    holder.stdin.flush()
    check(holder.stdout.readline().strip().isdigit(), "the lock is held")
    asked = subprocess.Popen(
        ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "-H",
         f"Authorization: Bearer {m.token}", "-d", '{"name":"half"}',
         f"http://127.0.0.1:{m.port}/api/v1/clusters"], stdout=subprocess.PIPE, text=True)
    wait_for("the change waits", lambda: kill(d), timeout_s=60)
    equal(asked.communicate(timeout=60)[0], "503", "the change")
    holder.stdin.close()
    holder.wait(60)
    equal([c["name"] for c in m.ask("GET", "clusters")[1]], ["cluster-1"], "nothing is there")
    equal(m.ask("POST", "clusters", {"name": "half"})[0], 200, "asked again")


def kill_postgres(d):
    return d.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                 " WHERE application_name = 'skimmer-manager' AND wait_event_type = 'Lock'") == "t"


def kill_mariadb(d):
    for line in d.sql("SELECT id, time_ms FROM information_schema.processlist"
                      " WHERE user = 'manager' AND info LIKE '%FOR UPDATE'").splitlines():
        d.sql(f"KILL CONNECTION {line.split()[0]}")
        return True
    return False


def play(d, client, kill, tls, is_secure):
    every_earlier_version_is_lifted(d)
    strange_tables_are_refused(d)
    a_wrong_password_is_told_but_not_shown(d)
    the_server_shows_its_certificate(d, tls, is_secure)
    m = Manager(d).start()
    a_restart_of_the_server_is_not_noticed(d, m)
    a_server_that_is_away_is_503(d, m)
    a_connection_lost_in_a_change_takes_it_back(d, m, client, kill)
    check("planted" not in m.said(), "no secret in the log")
    m.stop()


def test_postgres():
    with databases.Postgres() as d:
        play(d, ["env", f"PGPASSWORD={databases.PASSWORD}", f"{d.bin}/psql", "-h", "127.0.0.1", "-p",
                 str(d.port), "-U", "postgres", "-d", "manager", "-qAt"], kill_postgres, postgres_tls,
             postgres_is_secure)


def test_mariadb():
    with databases.Mariadb() as d:
        play(d, ["mariadb", "--no-defaults", f"--socket={d.dir}/socket", "-u", "root", "-nBN",
                 "manager"],
             kill_mariadb, mariadb_tls, mariadb_is_secure)


story.run(globals())
