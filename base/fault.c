/* The table of faults. */
#include "base/fault.h"

#include "base/cli.h"

#include <string.h>

const struct fault faults[] = {
	/* this host */
	{"SK100", "the configuration is wrong",
	 "A configuration file has an unknown key, a bad value, or is no YAML or TOML.",
	 "The program does not start (exit code 3).",
	 "Correct the line that is named; `--check-config` looks without starting."},
	{"SK101", "the clock is off",
	 "This host's time and a registry's differ by more than a minute.",
	 "Certificates count as not yet or no longer valid, registry tokens are refused, ages in "
	 "logs and traces of different hosts do not fit.",
	 "Switch time synchronisation on: `timedatectl set-ntp true`, or `chronyc makestep`."},
	{"SK102", "the clock is not kept", "The kernel says that nobody synchronises its clock.",
	 "It is right now and will drift.", "`timedatectl set-ntp true`."},
	{"SK110", "the disk is full",
	 "The disk of storage.dir has no room for pieces, by bytes or by inodes.",
	 "Pieces live in memory only and go to their reader: nothing is kept, nothing is shared, "
	 "the next pull fetches all of it again.",
	 "Free space on that disk, or set storage.dir to another one."},
	{"SK111", "the disk is nearly full",
	 "Less is free on the disk of storage.dir than the mark at which old blobs are removed.",
	 "Blobs go that somebody will want again.",
	 "Free space, or lower gc.policy.diskHighThresholdPercent."},
	{"SK112", "the store cannot be written",
	 "storage.dir is absent and cannot be made, or belongs to somebody else.",
	 "dfdaemon does not start.", "Make it and give it to the user that runs dfdaemon."},
	{"SK113", "no room on a disk", "The disk, or a quota of it, is used up.",
	 "What was being written is not there; what was there before is unharmed.",
	 "Free space there, or name another place."},
	{"SK114", "the store is in use", "Another dfdaemon runs with the same storage.dir.",
	 "The second one does not start.",
	 "Stop the other one, or give this one a storage.dir of its own."},
	{"SK120", "there is no /dev/fuse",
	 "The kernel's module fuse is not loaded, or the container was not given the device.",
	 "dfdaemon does not start while mount.enable or lazy.enable is true; mirror and proxy need "
	 "no mount.",
	 "`modprobe fuse`; in a container give it /dev/fuse and CAP_SYS_ADMIN; or set mount.enable "
	 "and lazy.enable to false."},
	{"SK121", "the mount is not there",
	 "dfdaemon runs, and its file system is not mounted at mount.path: somebody unmounted it, "
	 "or it is in another mount namespace.",
	 "Reading blobs as files does not work; mirror and proxy do.",
	 "`systemctl restart skimmer-dfdaemon`."},
	{"SK122", "the mount cannot be made",
	 "mount.path is no directory, is in use, or the kernel or fusermount3 refuses.",
	 "dfdaemon does not start while mount.enable is true.",
	 "`umount` what is left there; run dfdaemon as root or with CAP_SYS_ADMIN; or set "
	 "mount.enable to false."},
	{"SK123", "the kernel does not show lazy layers",
	 "lazy.trees is erofs, and the kernel has no EROFS, or none that takes an image that is a file "
	 "(Linux 6.12; lazy.dir must not be on overlayfs).",
	 "Layers are unpacked, as without lazy start.",
	 "Set lazy.trees to auto: dfdaemon shows the layers itself then."},
	{"SK130", "a port is taken", "Another program listens on a port that this one wants.",
	 "The program does not start, or this door of it does not.",
	 "Stop that program (`ss -ltnp` names it), or configure another port."},
	{"SK131", "a port is closed",
	 "dfdaemon runs, and does not listen on a port of its configuration.",
	 "Who uses that port finds nobody. The running daemon may have another configuration.",
	 "`systemctl restart skimmer-dfdaemon`, and read its log."},
	{"SK132", "an address is not this host's",
	 "A program is to listen on, or to call from, an IP address that no interface has.",
	 "The program does not start.", "Correct the address; `ip addr` shows those there are."},
	{"SK140", "a proxy is set in the environment",
	 "http_proxy or https_proxy is set for dfdaemon, which uses no proxies.",
	 "Origins that are reachable through that proxy only cannot be reached.",
	 "Let the origin be reached directly, or set backend.* to a registry inside; take the "
	 "variables away so that nobody counts on them."},
	/* this host, whatever the program did: the system's own refusals */
	{"SK150", "no permission",
	 "The user that runs the program may not do this, or the file system is read-only.",
	 "What was asked for is not done.",
	 "Give that user the file or directory that is named, or run the program as root."},
	{"SK151", "something is not there",
	 "A file, a task or another thing that is named does not exist.",
	 "What was asked for is not done.", "Correct the name, or make what is missing."},
	{"SK152", "something is in the way",
	 "What was to be made exists already, or is of another kind.",
	 "It is left as it was: nothing is replaced unasked.",
	 "Remove it, choose another name, or ask for it to be replaced (`dfget --overwrite`)."},
	{"SK153", "something is in use", "Another program, or another request, has it now.",
	 "What was asked for is not done.", "Wait for the other one, or stop it."},
	{"SK154", "too many open files",
	 "The limit of open files of the process or host is reached.",
	 "New connections and downloads fail.",
	 "Raise it: LimitNOFILE= of the unit, `ulimit -n`, or the sysctl fs.file-max."},
	{"SK155", "no memory",
	 "The kernel gives no more memory, or a control group's limit is met.",
	 "What was asked for is not done.", "Give the host or the container more memory."},
	{"SK156", "a disk or device fails", "The kernel reports an I/O error.",
	 "What is there cannot be trusted.",
	 "Read `dmesg`; replace the disk, or name another place."},
	{"SK157", "a value makes no sense", "Something that was given cannot be what was meant.",
	 "What was asked for is not done.", "Correct the value that is named."},
	{"SK158", "larger than it may be", "Something is longer than the bound that is set for it.",
	 "It is refused whole.",
	 "Check that it is what was meant; raise the limit where there is one."},
	{"SK159", "it was stopped",
	 "A signal, or the end of the program, ended it before its time.",
	 "What was fetched by then is kept.", "Ask for it again: it goes on where it stood."},
	{"SK160", "wrong usage", "The command line has an unknown option or a bad argument.",
	 "Nothing is done.", "`--help` shows what there is."},
	{"SK198", "a fault of the program itself", "Something happened that its authors ruled out.",
	 "Unknown; the program goes on where that is safe.",
	 "Report it with the log: `dfctl bugreport`."},
	{"SK199", "another failure of the system", "The kernel refused; the text is its own.",
	 "What was asked for is not done.",
	 "Read the text; if it tells nothing, report it with `dfctl bugreport`."},
	/* who else there must be */
	{"SK200", "the daemon does not answer",
	 "dfdaemon does not run, or its socket is elsewhere.",
	 "Container runtimes fall back to the registry; dfget reads the origin; the mount is away.",
	 "`systemctl start skimmer-dfdaemon`; its log tells why it ended."},
	{"SK210", "a scheduler does not answer",
	 "Its program is down, its address is wrong, or a firewall is between.",
	 "Without any scheduler every miss goes to the origin: right bytes, no P2P.",
	 "Start it (`systemctl start skimmer-scheduler` there), open its port, or correct "
	 "scheduler.addrs."},
	{"SK211", "no scheduler is known",
	 "Neither scheduler.addrs nor manager.addr is configured.",
	 "This node finds no peers: every miss goes to the origin.",
	 "Set manager.addr, or scheduler.addrs."},
	{"SK220", "the manager does not answer",
	 "Its program is down, its address is wrong, or a firewall is between.",
	 "The schedulers that are known are kept; a restarted daemon knows none.",
	 "Start it (`systemctl start skimmer-manager` there), or correct manager.addr."},
	{"SK230", "a certificate is not trusted",
	 "A server's certificate is not signed by a CA that this host or dfdaemon's configuration "
	 "names, or is not (or no more) valid.",
	 "Every download from there fails.",
	 "Name the CA that signed it: backend.caCert (or proxy.registryMirror.cert) for "
	 "registries, manager.caCert for the manager, scheduler.caCert for schedulers."},
	{"SK231", "a registry does not answer",
	 "The registry is down, its address is wrong, or the network is.",
	 "What no peer has cannot be pulled.", "Correct the address, or repair the way to it."},
	{"SK232", "a server refuses",
	 "A registry, origin or other server answered 401 or 403: no credential, a wrong one, or "
	 "one without the right.",
	 "What it guards cannot be had.",
	 "Give the credential: `docker login`, dfget's --header, or a token of the manager; check "
	 "that it may do this."},
	{"SK233", "the origin does not have it", "The origin answered 404 or 410.",
	 "Nobody can be given it.", "Correct the name; look whether it was removed there."},
	{"SK234", "asked too often", "A server answered 429: it limits how often it is asked.",
	 "This request failed; it was tried again for a while.",
	 "Wait; sign in for a higher limit; preheat, so that one host asks and not all."},
	{"SK235", "two ends disagree on TLS",
	 "One speaks TLS and the other does not, or a server wants the certificate of a member and "
	 "is shown none that it takes.",
	 "There is no connection: to this host the other is as good as away.",
	 "Give both ends their caCert, cert and key: scheduler.*, manager.*, upload.client.* and "
	 "upload.server.* of a daemon, server.tls.* of a scheduler, server.grpc.tls.* of the "
	 "manager."},
	{"SK240", "nobody answers there",
	 "The program there is down, the address is wrong, or the network is interrupted.",
	 "What was asked for is not done.",
	 "Start it, correct the address, or repair the way; `dfctl doctor` looks at all of them."},
	{"SK241", "it took too long",
	 "The other side answers, and not within the time it is given.",
	 "What was asked for was given up.",
	 "Look at the load of the other side and at the network; try again."},
	{"SK242", "an answer makes no sense",
	 "The other side speaks another protocol or another version, or is broken.",
	 "Its answer is thrown away.",
	 "Check that the address is that of the right program; compare versions."},
	{"SK243", "bytes are not what they should be",
	 "Size or digest of what came, or of what a disk gave back, is not the one that was "
	 "promised.",
	 "They are not delivered: dropped, and fetched again from somebody else where that is "
	 "possible.",
	 "If it comes again, look at this host's disk and memory, and compare the origin's file "
	 "with its digest."},
	{"SK250", "the database does not answer",
	 "The manager's database is down, full or refuses the manager.",
	 "The manager answers errors; peers keep the schedulers they know.",
	 "Start it, correct database.*, or free its disk; the manager reconnects by itself."},
	{"SK251", "a key does not fit",
	 "The key that seals secrets in the manager's database is another database's, is no key, "
	 "or may be read by others.",
	 "Nobody can sign in.",
	 "Put back the <database>.key (auth.keyFile) that belongs to it, with mode 600."},
	/* the container runtime */
	{"SK300", "the runtime does not use the mirror",
	 "containerd's configuration names no directory of hosts.toml, or no hosts.toml there "
	 "names dfdaemon's mirror.",
	 "Pulls go straight to the registry: no P2P.", "`dfinit containerd`."},
	{"SK301", "the runtime was not restarted",
	 "containerd has been running since before its configuration was changed.",
	 "It still pulls the old way.", "`systemctl restart containerd`."},
	{"SK302", "the mirror has had no request",
	 "The runtime is set up, and dfdaemon has not been asked for anything since its start.",
	 "Nothing was pulled yet, or pulls go another way.",
	 "Pull something: `dfinit --probe IMAGE containerd` proves the way."},
	{"SK303", "the runtime did not restart", "The command that restarts it failed.",
	 "It runs with its old configuration, or not at all.",
	 "Read its log (`journalctl -u containerd`); `dfinit undo` puts its files back."},
	/* why one pull was slow */
	{"SK400", "the pull failed", "The task could not be had from anywhere.",
	 "The reader got an error.", "Read the error that is shown; it names the source."},
	{"SK401", "the origin is slow",
	 "Most of the time was spent waiting for the origin, or for its bytes.",
	 "The first pull of a cluster is as slow as its origin.",
	 "Preheat (`dfctl preheat`), or bring the registry nearer."},
	{"SK402", "a parent is slow",
	 "Most of the time was spent on bytes of a peer whose link is slow.",
	 "The pull is as slow as that peer.",
	 "Look at that host's link; more peers with the blob help (they are chosen by idle "
	 "bandwidth)."},
	{"SK403", "a parent's upload limit",
	 "The parent may send only so much: its upload.bandwidthLimit.",
	 "The pull is as slow as that limit.", "Raise upload.bandwidthLimit on the parent."},
	{"SK404", "this host's download limit", "download.bandwidthLimit held the bytes back.",
	 "The pull is as slow as that limit.", "Raise download.bandwidthLimit here."},
	{"SK405", "the limit on the origin",
	 "download.backToSourceBandwidthLimit held the origin's bytes back.",
	 "The pull is as slow as that limit.",
	 "Raise download.backToSourceBandwidthLimit where the origin is read."},
	{"SK406", "no scheduler", "No scheduler answered, so no peers were known.",
	 "The bytes came from the origin, though peers may have them.",
	 "See SK210: `dfctl doctor` tells which one and why."},
	{"SK407", "not through P2P",
	 "No rule of the proxy matches the request, so it was passed on to the origin.",
	 "The origin is read every time.",
	 "Add a rule to proxy.rules, or send the header X-Dragonfly-Use-P2P: true."},
	{"SK408", "a parent sent wrong bytes",
	 "Pieces of a peer were not what they should be; they were dropped and fetched again.",
	 "Time lost; the bytes that were delivered are right.",
	 "Look at that host's disk and memory; `dfctl task rm` there drops its copy."},
	{"SK409", "this disk is full",
	 "The store had no room: pieces went to the reader and were not kept.",
	 "The next reader fetches all of it again.", "See SK110."},
	{"SK410", "this disk is slow", "Most of the time was spent writing to the store's disk.",
	 "Every first pull on this host waits for it.",
	 "Put storage.dir on a faster disk; look at who else writes."},
	{"SK411", "the seed had it not yet",
	 "The parent was itself still fetching the blob: this host waited for it to announce "
	 "pieces.",
	 "The first pull of a cluster is as slow as the seed's way to the origin.",
	 "Preheat (`dfctl preheat`) what will be wanted."},
	{"SK412", "the scheduler was slow to answer",
	 "Most of the time passed before the scheduler had answered.", "Every pull begins late.",
	 "Look at the scheduler's host; lower scheduler.answerTimeout."},
	{"SK413", "no peer has it",
	 "Only peers were to be asked, or the origin may not be, and none of them has it.",
	 "It cannot be had.", "Allow the origin, or preheat (`dfctl preheat`)."},
	{"SK414", "only a part was done", "Some of what was asked for failed.",
	 "The rest is done and stays so.", "Read which failed; ask for it again."},
	{NULL, NULL, NULL, NULL, NULL},
};

const struct fault *fault_find(const char *code)
{
	for (const struct fault *f = faults; f->code; f++)
		if (strcmp(f->code, code) == 0)
			return f;
	return NULL;
}

void faults_print_reference(FILE *out)
{
	for (const struct fault *f = faults; f->code; f++)
		fprintf(out, "## %s: %s\n\n**Cause.** %s\n\n**Effect.** %s\n\n**Fix.** %s\n\n",
			f->code, f->name, f->cause, f->effect, f->fix);
}

const char *fault_of_exit(int exit)
{
	static const char *const codes[] = {
		[EXIT_USAGE] = "SK160",	      [EXIT_CONFIG] = "SK100",	 [EXIT_NOT_FOUND] = "SK151",
		[EXIT_NOT_ALLOWED] = "SK232", [EXIT_NETWORK] = "SK240",	 [EXIT_TIMED_OUT] = "SK241",
		[EXIT_MISMATCH] = "SK243",    [EXIT_NO_SPACE] = "SK113", [EXIT_OUTPUT] = "SK152",
		[EXIT_NO_DAEMON] = "SK200",   [EXIT_NO_P2P] = "SK413",	 [EXIT_BUSY] = "SK234",
		[EXIT_PARTLY] = "SK414",
	};

	if (exit > 128)
		return "SK159";
	return exit > 0 && (size_t)exit < array_len(codes) && codes[exit] ? codes[exit] : "SK199";
}

void fault_tell(const char *program, const char *code, const char *text)
{
	const struct fault *f = fault_find(code);

	fflush(stdout);
	fprintf(stderr, "%s: %s\n", program, text);
	if (f)
		fprintf(stderr, "%s: %s, %s: %s\n", program, f->code, f->name, f->fix);
}
