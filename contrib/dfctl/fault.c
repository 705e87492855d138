/* The table of faults. */
#include "contrib/dfctl/fault.h"

#include <string.h>

const struct fault faults[] = {
	/* this host */
	{"SK100", "the configuration is wrong",
	 "dfdaemon.yaml has an unknown key, a bad value or is no YAML.",
	 "dfdaemon does not start (exit code 3).",
	 "Correct the line that is named; `dfdaemon --check-config` looks without starting."},
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
	{"SK120", "there is no /dev/fuse",
	 "The kernel's module fuse is not loaded, or the container was not given the device.",
	 "dfdaemon does not start while mount.enable is true; mirror and proxy need no mount.",
	 "`modprobe fuse`; in a container give it /dev/fuse and CAP_SYS_ADMIN; or set mount.enable "
	 "to false."},
	{"SK121", "the mount is not there",
	 "dfdaemon runs, and its file system is not mounted at mount.path: somebody unmounted it, "
	 "or it is in another mount namespace.",
	 "Reading blobs as files does not work; mirror and proxy do.",
	 "`systemctl restart skimmer-dfdaemon`."},
	{"SK130", "a port is taken", "Another program listens on a port that dfdaemon wants.",
	 "dfdaemon does not start, or this door of it does not.",
	 "Stop that program, or give dfdaemon another port."},
	{"SK131", "a port is closed",
	 "dfdaemon runs, and does not listen on a port of its configuration.",
	 "Who uses that port finds nobody. The running daemon may have another configuration.",
	 "`systemctl restart skimmer-dfdaemon`, and read its log."},
	{"SK140", "a proxy is set in the environment",
	 "http_proxy or https_proxy is set for dfdaemon, which uses no proxies.",
	 "Origins that are reachable through that proxy only cannot be reached.",
	 "Let the origin be reached directly, or set backend.* to a registry inside; take the "
	 "variables away so that nobody counts on them."},
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
	 "registries, "
	 "manager.caCert for the manager."},
	{"SK231", "a registry does not answer",
	 "The registry is down, its address is wrong, or the network is.",
	 "What no peer has cannot be pulled.", "Correct the address, or repair the way to it."},
	/* the container runtime */
	{"SK300", "the runtime does not use the mirror",
	 "containerd's configuration names no directory of hosts.toml, or no hosts.toml there "
	 "names "
	 "dfdaemon's mirror.",
	 "Pulls go straight to the registry: no P2P.", "`dfinit containerd`."},
	{"SK301", "the runtime was not restarted",
	 "containerd has been running since before its configuration was changed.",
	 "It still pulls the old way.", "`systemctl restart containerd`."},
	{"SK302", "the mirror has had no request",
	 "The runtime is set up, and dfdaemon has not been asked for anything since its start.",
	 "Nothing was pulled yet, or pulls go another way.",
	 "Pull something: `dfinit --probe IMAGE containerd` proves the way."},
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
