"""What every program owes its user before it does any work: --help, --version, --man, --completion,
a hint for a mistyped option, and a configuration check that names file, line and nearest key."""
import json
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import story
from lab import BIN, ROOT
from story import check, equal

PROGRAMS = ("dfdaemon", "dfget", "scheduler", "manager", "dfinit", "dfctl", "containerd-skimmer")
# An option of each that takes a value.
OPTION = {"dfinit": "--state-dir", "dfctl": "--completion"}
# A key of each configuration with a letter missing, its line, and the key that was meant.
MISTYPED = {
    "dfdaemon": ("# a comment\nstorage:\n  dir: /var/tmp\nserver:\n  cacheDr: /tmp/x\n", 5, "server.cacheDir"),
    "scheduler": ("server:\n  advertiseP: 10.0.0.1\n", 2, "server.advertiseIP"),
    "manager": ("database:\n  type: sqlite\n  sqlite:\n    pth: /tmp/x\n", 4, "database.sqlite.path"),
    "containerd-skimmer": ("root: /tmp/x\nsocketPth: /tmp/x\n", 2, "socketPath"),
}
GOOD = {
    "dfdaemon": "mount:\n  path: /tmp/blobs\n",
    "scheduler": "server:\n  port: 8002\n",
    "manager": "database:\n  type: sqlite\n",
    "containerd-skimmer": "root: /tmp/x\n",
}


def run(program, *args, stdout=subprocess.PIPE, **kw):
    """(exit code, standard output, standard error)"""
    p = subprocess.run([BIN / program, *args], stdout=stdout, stderr=subprocess.PIPE, text=True,
                       timeout=20, **kw)
    return p.returncode, p.stdout, p.stderr


def long_options(text):
    return set(re.findall(r"--[a-z][a-z0-9-]*", text))


def asked_well(program, *args):
    code, out, err = run(program, *args)
    equal((code, err), (0, ""), f"{program} {' '.join(args)}")
    check(out.endswith("\n"), f"{program} {' '.join(args)} ends its last line")
    return out


def test_help_names_usage_examples_and_exit_codes():
    for program in PROGRAMS:
        out = asked_well(program, "--help")
        equal(asked_well(program, "-h"), out, f"{program} -h")
        for word in (program, "--help", "--version", "--man", "--completion"):
            check(word in out, f"{program} --help tells of {word}")
        wide = [l for l in out.splitlines() if len(l) > 80]
        equal(wide, [], f"lines of {program} --help wider than a terminal")


def test_version_is_the_projects():
    want = re.search(r"project\(skimmer VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text())[1]
    for program in PROGRAMS:
        equal(asked_well(program, "--version"), f"{program} {want}\n", f"{program} --version")
        equal(asked_well(program, "-V"), f"{program} {want}\n", f"{program} -V")


def test_man_page_is_clean_and_names_each_option():
    for program in PROGRAMS:
        page = asked_well(program, "--man")
        p = subprocess.run(["mandoc", "-Tlint", "-Wwarning"], input=page, text=True,
                           capture_output=True)
        equal((p.returncode, p.stdout), (0, ""), f"mandoc about {program} --man")
        text = subprocess.run(["mandoc", "-Tutf8"], input=page, text=True, capture_output=True,
                              check=True).stdout
        text = re.sub(".\b", "", text)  # bold and underlined by overstriking
        missing = long_options(asked_well(program, "--help")) - long_options(text)
        equal(missing, set(), f"options that {program} --man does not tell of")


def test_completions_are_accepted_by_their_shells():
    for program in PROGRAMS:
        for shell in ("bash", "zsh", "fish"):
            code = asked_well(program, f"--completion={shell}")
            check("config" in code or "log-level" in code, f"{shell} completes {program}'s options")
            if not shutil.which(shell):
                print(f"skip {program} in {shell}: not installed")
                continue
            p = subprocess.run([shell, "-n"], input=code, text=True, capture_output=True)
            equal((p.returncode, p.stderr), (0, ""), f"{shell} -n of {program}'s completion")


def test_bash_completes_an_option():
    for program in PROGRAMS:
        code = asked_well(program, "--completion", "bash")
        ask = (f'source /dev/stdin <<"END"\n{code}\nEND\n'
               f"f=$(complete -p {program} | sed 's/.*-F \\([^ ]*\\).*/\\1/')\n"
               f"COMP_WORDS=({program} --vers) COMP_CWORD=1\n"
               f"$f {program} --vers {program}\n"
               'echo "${COMPREPLY[@]}"\n')
        p = subprocess.run(["bash", "--norc", "-c", ask], capture_output=True, text=True)
        equal((p.stdout.strip(), p.stderr), ("--version", ""), f"bash completes {program} --vers")


def test_bash_completes_commands_and_their_options():
    code = asked_well("dfctl", "--completion", "bash")
    for words, want in (("dfctl doc", "doctor"), ("dfctl doctor --ru", "--runtime-config=")):
        ask = (f'source /dev/stdin <<"END"\n{code}\nEND\ncompopt() {{ :; }}\n'
               f"COMP_WORDS=({words}) COMP_CWORD={len(words.split()) - 1}\n_dfctl\n"
               'echo "${COMPREPLY[@]}"\n')
        p = subprocess.run(["bash", "--norc", "-c", ask], capture_output=True, text=True)
        equal((p.stdout.strip(), p.stderr), (want, ""), f"bash completes {words}")


def test_each_command_of_dfctl_has_help_with_examples_and_exit_codes():
    names = re.findall(r"^  ([a-z][a-z-]+)  ", asked_well("dfctl", "--help").split("Commands:")[1], re.M)
    check("doctor" in names, f"commands: {names}")
    for name in names:
        out = asked_well("dfctl", name, "--help")
        for word in (f"Usage: dfctl {name}", "Examples:", "Exit codes:"):
            check(word in out, f"dfctl {name} --help has {word}: {out}")
        equal([l for l in out.splitlines() if len(l) > 80 and "  #" not in l], [], f"wide lines of {name}")


def test_unknown_shell_for_completion_is_a_usage_error():
    for program in PROGRAMS:
        code, out, err = run(program, "--completion=tcsh")
        equal((code, out), (2, ""), f"{program} --completion=tcsh")
        check("bash, zsh or fish" in err, f"{program} names the shells it knows: {err}")


def test_mistyped_option_is_answered_with_the_nearest():
    for program in PROGRAMS:
        option = OPTION.get(program, "--log-level")
        code, out, err = run(program, option[:-2] + option[-1], "debug")
        equal((code, out), (2, ""), f"{program} with a letter of {option} missing")
        check(option in err and "--help" in err, f"{program} tells the nearest option: {err}")


def test_option_without_its_value_is_a_usage_error():
    for program in PROGRAMS:
        option = OPTION.get(program, "--log-level")
        code, _, err = run(program, option)
        equal(code, 2, f"{program} {option}")
        check(f"{option} needs a value" in err, f"{program} tells what is missing: {err}")


def test_full_output_is_not_reported_as_done():
    for program in PROGRAMS:
        with open("/dev/full", "w") as full:
            code, _, _ = run(program, "--help", stdout=full)
        equal(code, 10, f"{program} --help into a full disk")


def with_file(text, fn):
    with tempfile.TemporaryDirectory(prefix="skm-") as d:
        file = pathlib.Path(d) / "config.yaml"
        file.write_text(text)
        return fn(file)


def test_config_check_accepts_a_good_file():
    for program, text in GOOD.items():
        got = with_file(text, lambda f: run(program, "--config", f, "--check-config"))
        equal((got[0], got[2]), (0, ""), f"{program} --check-config of a good file")


def test_config_check_names_file_line_and_nearest_key():
    for program, (text, line, meant) in MISTYPED.items():
        def ask(file):
            return file, run(program, "--config", file, "--check-config")
        file, (code, out, err) = with_file(text, ask)
        equal((code, out), (3, ""), f"{program} --check-config: {err}")
        check(f"{file}:{line}" in err, f"{program} names {file}:{line}: {err}")
        check(f'did you mean "{meant}"' in err, f"{program} names {meant}: {err}")
        equal(len(err.splitlines()), 2, f"lines that {program} needs to say it and what helps: {err}")


def test_bad_config_does_not_start_the_program():
    for program, (text, _, _) in MISTYPED.items():
        code, _, _ = with_file(text, lambda f: run(program, "--config", f))
        equal(code, 3, f"{program} with a mistyped key")


def test_config_named_but_absent_is_an_error():
    for program in GOOD:
        code, _, err = run(program, "--config", "/nowhere/at/all.yaml", "--check-config")
        equal(code, 3, f"{program} with a configuration that is not there")
        check("/nowhere/at/all.yaml" in err, f"{program} names the file: {err}")


def test_config_that_is_no_yaml_is_an_error():
    for program in GOOD:
        code, _, err = with_file("server: [1, 2\n", lambda f: run(program, "--config", f, "--check-config"))
        equal(code, 3, f"{program} with a broken file")
        check(re.search(r"config\.yaml:\d+", err), f"{program} names file and line: {err}")


def test_config_reference_lists_the_keys():
    for program, (_, _, meant) in MISTYPED.items():
        out = asked_well(program, "--print-config-reference")
        check(meant in out, f"{program}'s reference has {meant}")


def told(text):
    """The one code of an error that a program told, which its page explains."""
    codes = set(re.findall(r"\bSK\d{3}\b", text))
    equal(len(codes), 1, f"error codes in {text}")
    code = codes.pop()
    check(f"## {code}: " in (ROOT / "docs/reference/errors.md").read_text(), f"the page of {code}")
    return code


def test_an_error_at_a_terminal_has_a_code_with_a_page():
    for program in PROGRAMS:
        equal(told(run(program, "--no-such-option")[2]), "SK160", f"{program}, wrong usage")
    for program, (text, _, _) in MISTYPED.items():
        err = with_file(text, lambda f: run(program, "--config", f)[2])
        equal(told(err), "SK100", f"{program}, a mistyped key")
    with tempfile.TemporaryDirectory(prefix="skm-") as d:
        away = pathlib.Path(d) / "nobody.sock"
        said = {
            "SK200": [("dfctl", "top", "--count", "1", "--endpoint", away),
                      ("dfget", "--endpoint", away, "--disable-back-to-source", "-O", f"{d}/file",
                       "http://127.0.0.1:1/file")],
            "SK231": [("dfget", "--endpoint", away, "-O", f"{d}/file", "http://127.0.0.1:1/file")],
            "SK151": [("dfctl", "errors", "SK000")],
        }
        for code, commands in said.items():
            for command in commands:
                exit_code, _, err = run(*command)
                check(exit_code > 2, f"{command} fails: {exit_code} {err}")
                equal(told(err.replace("SK000", "")), code, f"{command}")


def test_an_error_that_ends_a_server_is_logged_with_its_code_and_what_helps():
    with socket.socket() as taken, tempfile.TemporaryDirectory(prefix="skm-") as d:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        file = pathlib.Path(d) / "config.yaml"
        configs = {
            "SK130": f"server:\n  listenIP: 127.0.0.1\n  port: {port}\nmetrics:\n  enable: false\n",
            "SK132": "server:\n  listenIP: 192.0.2.1\n  port: 8002\nmetrics:\n  enable: false\n",
        }
        for want, text in configs.items():
            file.write_text(text)
            code, _, err = run("scheduler", "--config", file)
            line = json.loads(err.splitlines()[-1])
            equal((code, line["level"], line["code"]), (1, "error", want), f"the line: {err}")
            check(line["why"] and line["fix"], f"it says why, and what helps: {err}")


story.run(globals())
