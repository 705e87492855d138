// A fleet that nobody has, as the manager would tell of it: for what is drawn of many, and for pictures.
const meter = (n) => ({ bytes: n * 1000, bytes_per_second: n });
const iso = (ago) => new Date(Date.now() - ago).toISOString();

// Four clusters, each host fed by three.
export function topology(count) {
	const hosts = Array.from({ length: count }, (_, i) => ({ id: `h${i}`, hostname: `node-${i}`, ip: `10.0.${i >> 8}.${i & 255}`,
		idc: `idc-${i % 8}`, location: '', is_seed: i % 250 < 3, scheduler_cluster_id: 1 + Math.floor(i / (count / 4)),
		downloads: 3, running: 1, received: meter(i * 1000), from_origin: meter(i % 250 < 3 ? 1e6 : 0), sent: meter(i * 900) }));
	const flows = hosts.flatMap((h, i) => [1, 7, 31].map((d) => {
		const first = (h.scheduler_cluster_id - 1) * count / 4;
		return { parent: first + (i - first + d) % (count / 4), child: i, bytes: i * 5e5, bytes_per_second: (i * d) % 97 * 1e5, quiet_ms: 0 };
	}));
	return { known_hosts: count, hosts, flows };
}

// The made-up topology with its first hosts called as peers of the database.
export function topologyOf(peers) {
	const view = topology(120);
	peers.forEach((p, i) => Object.assign(view.hosts[i + 10], { hostname: p.host_name, ip: p.ip, idc: p.idc, location: p.location }));
	return view;
}

export const overview = (n) => ({
	clusters: 2, schedulers: { all: 3, active: 2 }, seed_peers: { all: 2, active: 2 }, peers: { all: 10000, active: 9800 },
	checks: [{ scheduler_cluster_id: 2, name: 'cluster-b', missing: 'seed_peer' }],
	silent: [{ scheduler: '10.2.0.1:8002', scheduler_cluster_id: 2, why: 'connection refused' }],
	traffic: { since: iso(3 * 86400e3), delivered: { bytes: 41.3e12 + n * 7e8, bytes_per_second: 6.1e8 + 2e8 * Math.sin(n / 4) },
		from_origin: { bytes: 212e9 + n * 1e7, bytes_per_second: 4e6 + 4e6 * Math.sin(n / 3) }, saved_bytes: 41.1e12,
		to_nodes: { nodes: { bytes: 38.9e12, bytes_per_second: 5.7e8 }, seeds: { bytes: 2.3e12, bytes_per_second: 3.6e7 }, origin: { bytes: 0.1e12, bytes_per_second: 1e6 } },
		to_seeds: { hosts: meter(0), origin: meter(3e6) } },
	swarm: { tasks: 214, downloads: 8123, running: 97 },
});

const id = (i) => String(i).padStart(4, '0').repeat(16);
const task = (i) => ({ id: id(i), scheduler_cluster_id: 1 + i % 2,
	url: `https://registry.example.com/v2/library/model-server/blobs/sha256:${id(i)}`, content_length: (i + 1) * 3.3e8, piece_length: 4 << 20,
	piece_count: Math.ceil((i + 1) * 3.3e8 / (4 << 20)), state: ['Succeeded', 'Running', 'Failed'][i % 3], peers: 40 + i, running: i % 7, finished: 40, updated_at: iso(i * 6e4) });

export const tasks = () => ({ known_tasks: 214, tasks: Array.from({ length: 30 }, (_, i) => task(i)) });

// Forty hosts, each a little further.
export function oneTask() {
	const of = task(2), bytes = Math.ceil(of.piece_count / 8);
	const holders = Array.from({ length: 40 }, (_, i) => {
		const have = i < 2 ? of.piece_count : Math.floor(of.piece_count * (i + 1) / 42);
		const pieces = Array.from({ length: bytes }, (__, b) => (i * 37 + b * 11) % bytes < bytes * (i + 1) / 42 ? 'ff' : '00').join('');
		return { host_id: `h${i}`, hostname: `node-${i}`, ip: `10.0.0.${i}`, is_seed: i < 2, state: i < 2 ? 'Succeeded' : 'Running',
			finished_pieces: have, has_all: i < 2, pieces, parents: i < 2 ? [] : [`h${i - 1}`, `h${i % 2}`] };
	});
	return { ...of, state: 'Running', peers: 40, holders };
}
