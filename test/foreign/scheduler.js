// Drives every method of scheduler.v2.Scheduler: scheduler.js ADDRESS OWN_IP
// Plays the daemons itself: its own server is what the scheduler asks for downloads.
'use strict';
const http = require('node:http');
const crypto = require('node:crypto');
const { assert, grpc, packages, Service, is_recent, wait_for } = require('./grpc');

const [address, own_ip] = process.argv.slice(2);
const s = new Service(packages.scheduler.v2.Scheduler, address);
const downloads = []; // what our daemon was asked for
const MIB = 1 << 20;

function sha256(text) {
	return crypto.createHash('sha256').update(text).digest('hex');
}

// ---- our daemon: one server that every host announces

function start_daemon() {
	const server = new grpc.Server();
	server.addService(packages.dfdaemon.v2.DfdaemonUpload.service, {
		DownloadTask(call) {
			downloads.push(call.request.download);
			call.write({ host_id: 'h', task_id: 't', peer_id: 'p' });
			call.end();
		},
	});
	return new Promise((resolve, reject) => server.bindAsync(`${own_ip}:0`,
		grpc.ServerCredentials.createInsecure(),
		(e, port) => (e ? reject(e) : resolve({ server, port }))));
}

function host_message(name, type, port) {
	return {
		id: `${own_ip}-${name}`, type, hostname: name, ip: own_ip, port, download_port: port,
		os: 'linux', platform: 'debian', scheduler_cluster_id: 1,
		network: { location: 'a|b', idc: 'idc-1', max_rx_bandwidth: 1e8, max_tx_bandwidth: 1.25e8 },
		build: { git_version: '1.5.0' },
	};
}

async function announce(name, type, port) {
	const host = host_message(name, type, port);
	assert.deepEqual(await s.call('AnnounceHost', { host, interval: { seconds: 300 } }), {});
	return host;
}

function check_host(h, want) {
	for (const key of ['id', 'type', 'hostname', 'ip', 'port', 'download_port', 'os'])
		assert.equal(h[key], want[key], key);
	assert.equal(h.name, want.hostname);
	assert.equal(h.disable_shared, false);
	assert.equal(h.network.idc, 'idc-1');
	assert.equal(h.network.location, 'a|b');
	assert.equal(h.network.max_tx_bandwidth, '125000000');
}

// ---- hosts

async function hosts(port) {
	const a = await announce('js-a', 0, port);
	const b = await announce('js-b', 0, port);
	const seed = await announce('js-seed', 1, port);
	const all = (await s.call('ListHosts', {})).hosts;

	assert.deepEqual(all.map((h) => h.hostname).sort(), ['js-a', 'js-b', 'js-seed']);
	check_host(all.find((h) => h.hostname === 'js-a'), a);
	const seeds = (await s.call('ListHosts', { type: 1 })).hosts;
	assert.equal(seeds.length, 1);
	check_host(seeds[0], seed);
	for (const bad of [{ ...a, ip: 'x' }, { ...a, id: '' }, { ...a, hostname: '' }, { ...a, port: 0 }])
		assert.equal(await s.fails('AnnounceHost', { host: bad }), grpc.status.INVALID_ARGUMENT);
	assert.equal(await s.fails('DeleteHost', { host_id: 'nobody' }), grpc.status.NOT_FOUND);
	return { a, b, seed };
}

// ---- peers

// A peer's stream, with its three names in every message.
class Peer {
	constructor(host, task_id, name) {
		this.ids = { host_id: host.id, task_id, peer_id: `${host.id}-${name}` };
		this.stream = s.stream('AnnouncePeer');
	}

	say(what, body = {}) {
		this.stream.send({ ...this.ids, [`${what}_request`]: body });
	}

	register(more = {}) {
		this.say('register_peer', { download: { url: 'http://10.1.1.1/file', tag: 't',
			application: 'app', priority: 'LEVEL3', concurrent_piece_count: 4,
			actual_content_length: 8 * MIB, actual_piece_length: 4 * MIB, actual_piece_count: 2,
			...more } });
	}

	async answer(kind) {
		const m = await this.stream.next();
		assert.ok(m, `${kind} expected, the stream ended: ${JSON.stringify(this.stream.status)}`);
		assert.equal(m.response, kind);
		return m[kind];
	}

	stat() {
		return s.call('StatPeer', this.ids);
	}
}

function piece(number, parent_id, traffic_type) {
	return { number, parent_id, offset: number * 4 * MIB, length: 4 * MIB, digest: 'crc32:1',
		traffic_type, cost: { nanos: 5e6 }, created_at: { seconds: Math.floor(Date.now() / 1000) } };
}

function check_task(t, want) {
	assert.equal(t.id, want.id);
	assert.equal(t.type, 'STANDARD');
	assert.equal(t.url, 'http://10.1.1.1/file');
	assert.equal(t.tag, 't');
	assert.equal(t.application, 'app');
	assert.equal(t.content_length, String(8 * MIB));
	assert.equal(t.piece_count, 2);
	assert.equal(t.size_scope, 'NORMAL');
	assert.equal(t.state, want.state);
	assert.equal(t.peer_count, want.peers);
	assert.equal(t.has_available_peer, want.available);
	is_recent(t.created_at);
	is_recent(t.updated_at);
}

function check_peer(p, peer, host, want) {
	assert.equal(p.id, peer.ids.peer_id);
	assert.equal(p.state, want.state);
	assert.equal(p.priority, 'LEVEL3');
	assert.equal(p.concurrent_piece_count, 4);
	assert.equal(p.need_back_to_source, false);
	assert.ok(Number(p.cost.seconds) < 600);
	is_recent(p.created_at);
	is_recent(p.updated_at);
	check_host(p.host, host);
	check_task(p.task, { id: peer.ids.task_id, ...want.task });
}

// The first reads the origin, the second is given it as its parent.
async function origin_and_child(a, b) {
	const task_id = sha256('js task');
	const first = new Peer(a, task_id, 'p1'), second = new Peer(b, task_id, 'p2');

	first.register();
	const source = await first.answer('need_back_to_source_response');
	assert.ok(source.description);
	first.say('download_peer_back_to_source_started', { description: source.description });
	first.say('download_piece_back_to_source_failed', { piece_number: 0,
		backend: { message: 'no', header: {}, status_code: 500 } });
	first.say('download_piece_back_to_source_finished', { piece: piece(0, undefined, 'BACK_TO_SOURCE') });
	await wait_for('a peer that reads the origin', async () =>
		(await first.stat()).state === 'BackToSource');
	check_peer(await first.stat(), first, a, { state: 'BackToSource',
		task: { state: 'Running', peers: 1, available: true } });

	second.register();
	const { candidate_parents: parents } = await second.answer('normal_task_response');
	assert.equal(parents.length, 1);
	check_peer(parents[0], first, a, { state: 'BackToSource',
		task: { state: 'Running', peers: 2, available: true } });
	second.say('download_peer_started');
	second.say('download_piece_finished', { piece: piece(0, first.ids.peer_id, 'REMOTE_PEER') });
	await wait_for('a running peer', async () => (await second.stat()).state === 'Running');
	return { task_id, first, second };
}

async function failed_parents_and_ends({ task_id, first, second }, a) {
	// Its only parent is no good: none is left, so in time it is sent to the origin itself.
	second.say('download_piece_failed', { piece_number: 1, parent_id: first.ids.peer_id,
		temporary: true });
	second.say('reschedule_peer', { candidate_parents: [await first.stat()], description: 'bad' });
	await second.answer('need_back_to_source_response');
	second.say('download_peer_back_to_source_started', {});
	second.say('download_peer_back_to_source_failed', { description: 'no way' });
	assert.equal(await second.stream.end_code(), grpc.status.OK);
	assert.equal((await second.stat()).state, 'Failed');

	first.say('download_piece_back_to_source_finished', { piece: piece(1, undefined, 'BACK_TO_SOURCE') });
	first.say('download_peer_back_to_source_finished');
	assert.equal(await first.stream.end_code(), grpc.status.OK);
	check_peer(await first.stat(), first, a, { state: 'Succeeded',
		task: { state: 'Succeeded', peers: 2, available: true } });
	check_task(await s.call('StatTask', { host_id: a.id, task_id }),
		{ id: task_id, state: 'Succeeded', peers: 2, available: true });
}

async function other_ends({ task_id, first }, b) {
	const third = new Peer(b, task_id, 'p3');
	third.register();
	const { candidate_parents: parents } = await third.answer('normal_task_response');
	assert.deepEqual(parents.map((p) => p.id), [first.ids.peer_id]);
	third.say('download_peer_started');
	third.say('download_peer_finished');
	assert.equal(await third.stream.end_code(), grpc.status.OK);
	assert.equal((await third.stat()).state, 'Succeeded');

	const fourth = new Peer(b, task_id, 'p4');
	fourth.register();
	await fourth.answer('normal_task_response');
	fourth.say('download_peer_failed', { description: 'gave up' });
	assert.equal(await fourth.stream.end_code(), grpc.status.OK);

	const fifth = new Peer(b, task_id, 'p5');
	fifth.register({ metadata_only: true });
	assert.deepEqual(await fifth.answer('metadata_only_response'), {});
	fifth.say('download_peer_started');
	fifth.say('download_peer_finished');
	assert.equal(await fifth.stream.end_code(), grpc.status.OK);

	const empty = new Peer(b, sha256('empty'), 'p6');
	empty.register({ actual_content_length: 0, actual_piece_count: 0 });
	assert.deepEqual(await empty.answer('empty_task_response'), {});
	empty.say('download_peer_finished');
	assert.equal(await empty.stream.end_code(), grpc.status.OK);

	const broken = new Peer(b, task_id, 'p7');
	broken.register();
	await broken.answer('normal_task_response');
	broken.stream.call.cancel();
	await wait_for('a peer whose stream broke', async () => {
		try {
			return (await broken.stat()).state === 'Failed';
		} catch (e) {
			return e.code === grpc.status.NOT_FOUND; // forgotten already
		}
	});
}

async function refusals(b, task_id) {
	const stranger = new Peer({ id: 'nobody' }, task_id, 'x');
	stranger.register();
	assert.equal(await stranger.stream.end_code(), grpc.status.NOT_FOUND);
	const early = new Peer(b, task_id, 'early');
	early.say('download_peer_started');
	assert.equal(await early.stream.end_code(), grpc.status.NOT_FOUND);
	const nameless = new Peer(b, '', 'nameless');
	nameless.register();
	assert.equal(await nameless.stream.end_code(), grpc.status.INVALID_ARGUMENT);
	const forbidden = new Peer(b, sha256('forbidden'), 'f');
	forbidden.register({ priority: 'LEVEL1' });
	assert.equal(await forbidden.stream.end_code(), grpc.status.FAILED_PRECONDITION);
}

// Nobody has it and there is a seed: our daemon is asked to fetch it.
async function seed_is_asked(a, seed) {
	const task_id = sha256('for the seed');
	const peer = new Peer(a, task_id, 's1');

	peer.register({ priority: 'LEVEL0', request_header: { 'X-A': 'b' } });
	const d = await wait_for('the seed to be asked', () => downloads.shift());
	assert.equal(d.url, 'http://10.1.1.1/file');
	assert.equal(d.need_back_to_source, true);
	assert.equal(d.tag, 't');
	assert.deepEqual(d.request_header, { 'X-A': 'b' });
	assert.equal(d.output_path_, undefined);
	const own = new Peer(seed, task_id, 's2');
	own.register({ priority: 'LEVEL0', need_back_to_source: true });
	await own.answer('need_back_to_source_response');
	own.say('download_peer_back_to_source_started', {});
	const m = await peer.stream.next();
	// The seed's download ended at once (ours does nothing): either it is the parent by now, or the
	// peer has been sent to the origin in the meantime.
	assert.ok(['normal_task_response', 'need_back_to_source_response'].includes(m.response));
	peer.stream.call.cancel();
	own.stream.call.cancel();
}

async function deletions({ task_id, first }, a, b) {
	assert.deepEqual(await s.call('DeletePeer', first.ids), {});
	assert.equal(await s.fails('StatPeer', first.ids), grpc.status.NOT_FOUND);
	assert.equal(await s.fails('DeletePeer', first.ids), grpc.status.NOT_FOUND);
	assert.deepEqual(await s.call('DeleteTask', { host_id: b.id, task_id }), {});
	assert.equal((await s.call('StatTask', { host_id: a.id, task_id })).peer_count, 0);
	assert.equal(await s.fails('StatTask', { host_id: a.id, task_id: sha256('unknown') }),
		grpc.status.NOT_FOUND);
	assert.equal(await s.fails('DeleteTask', { host_id: 'nobody', task_id }), grpc.status.NOT_FOUND);
}

// ---- preheats

// A registry that has one image and wants a token.
function start_registry() {
	const layer = { digest: `sha256:${sha256('layer')}`, size: 5 };
	const config = { digest: `sha256:${sha256('config')}`, size: 6 };
	const manifest = JSON.stringify({ schemaVersion: 2, config, layers: [layer] });
	const index = JSON.stringify({ schemaVersion: 2, manifests: [
		{ digest: `sha256:${sha256('other')}`, size: 1, platform: { os: 'linux', architecture: 's390x' } },
		{ digest: `sha256:${sha256(manifest)}`, size: manifest.length,
			platform: { os: 'linux', architecture: 'arm64', variant: 'v8' } }] });
	const server = http.createServer((rq, rs) => {
		const base = `http://${rq.headers.host}`;
		if (rq.url.startsWith('/token')) {
			const basic = `Basic ${Buffer.from('me:secret').toString('base64')}`;
			rs.writeHead(rq.headers.authorization === basic ? 200 : 403);
			rs.end('{"token":"T"}');
		} else if (rq.headers.authorization !== 'Bearer T') {
			rs.writeHead(401, { 'WWW-Authenticate': `Bearer realm="${base}/token",service="r"` });
			rs.end();
		} else if (rq.url === '/v2/a/b/manifests/1') {
			rs.end(index);
		} else if (rq.url === `/v2/a/b/manifests/sha256:${sha256(manifest)}`) {
			rs.end(manifest);
		} else {
			rs.writeHead(404);
			rs.end();
		}
	});
	return new Promise((resolve) => {
		server.listen(0, own_ip, () => resolve({ server, layer, config,
			url: `http://${own_ip}:${server.address().port}/v2/a/b` }));
	});
}

async function images(registry, a) {
	const login = { username: 'me', password: 'secret', platform: 'linux/arm64' };
	const ask = { url: `${registry.url}/manifests/1`, ...login };
	const urls = [registry.config, registry.layer].map((l) => `${registry.url}/blobs/${l.digest}`);

	downloads.length = 0;
	assert.deepEqual(await s.call('PreheatImage', { ...ask, scope: 'all_seed_peers', tag: 'p',
		priority: 'LEVEL6', timeout: { seconds: 60 } }), {});
	await wait_for('both blobs to be asked for', () => downloads.length === 2);
	assert.deepEqual(downloads.map((d) => d.url).sort(), [...urls].sort());
	for (const d of downloads.splice(0)) {
		assert.equal(d.enable_task_id_based_blob_digest, true);
		assert.equal(d.request_header.Authorization, 'Bearer T');
		assert.equal(d.tag, 'p');
		assert.equal(d.priority, 'LEVEL6');
		assert.equal(d.type, 'STANDARD');
		assert.equal(d.timeout.seconds, '60');
	}

	let stat = await s.call('StatImage', ask);
	assert.deepEqual(stat.image.layers.map((l) => l.url), urls);
	assert.deepEqual(stat.peers, []);
	// A daemon that has the layer says so under the blob's digest.
	const peer = new Peer(a, registry.layer.digest.slice(7), 'layer');
	peer.register({ metadata_only: true });
	await peer.answer('metadata_only_response');
	peer.say('download_peer_finished');
	await peer.stream.end_code();
	stat = await s.call('StatImage', ask);
	assert.equal(stat.peers.length, 1);
	assert.equal(stat.peers[0].ip, own_ip);
	assert.equal(stat.peers[0].hostname, 'js-a');
	assert.deepEqual(stat.peers[0].cached_layers.map((l) => [l.url, l.is_finished]), [[urls[1], true]]);

	assert.equal(await s.fails('PreheatImage', { ...ask, scope: 'nobody' }), grpc.status.INVALID_ARGUMENT);
	assert.equal(await s.fails('StatImage', { ...ask, password: 'x' }), grpc.status.PERMISSION_DENIED);
	assert.equal(await s.fails('StatImage', { ...ask, url: `${registry.url}/manifests/none` }),
		grpc.status.NOT_FOUND);
	assert.equal(await s.fails('StatImage', { ...ask, platform: 'plan9/amd64' }), grpc.status.NOT_FOUND);
}

async function files(a) {
	const file = { url: 'http://10.1.1.1/model?b=2&a=1&X-Amz-Date=x', tag: 'm' };

	assert.deepEqual(await s.call('PreheatFile', { ...file, scope: 'all_peers', header: { 'X-A': 'b' } }), {});
	await wait_for('three hosts to be asked', () => downloads.length === 3);
	for (const d of downloads.splice(0)) {
		assert.equal(d.url, file.url);
		assert.equal(d.tag, 'm');
		assert.deepEqual(d.request_header, { 'X-A': 'b' });
		assert.ok(d.filtered_query_params.includes('X-Amz-Date'));
	}
	assert.deepEqual(await s.call('PreheatFile', { ...file, scope: 'single_seed_peer' }), {});
	await wait_for('one seed to be asked', () => downloads.shift());
	assert.equal(await s.fails('PreheatFile', { ...file, scope: 'all_peers', percentage: 101 }),
		grpc.status.INVALID_ARGUMENT);

	assert.deepEqual((await s.call('StatFile', file)).peers, []);
	const peer = new Peer(a, sha256('http://10.1.1.1/model?a=1&b=2' + 'm' + 'STANDARD'), 'file');
	peer.register({ metadata_only: true });
	await peer.answer('metadata_only_response');
	peer.say('download_peer_finished');
	await peer.stream.end_code();
	assert.deepEqual((await s.call('StatFile', file)).peers.map((p) => [p.ip, p.hostname,
		p.cached_files.map((f) => [f.url, f.is_finished])]),
	[[own_ip, 'js-a', [[file.url, true]]]]);
}

async function main() {
	const daemon = await start_daemon();
	const registry = await start_registry();
	const health = new Service(packages.grpc.health.v1.Health, address);
	assert.equal((await health.call('Check', {})).status, 'SERVING');

	const { a, b, seed } = await hosts(daemon.port);
	const talk = await origin_and_child(a, b);
	await failed_parents_and_ends(talk, a);
	await other_ends(talk, b);
	await refusals(b, talk.task_id);
	await seed_is_asked(a, seed);
	await deletions(talk, a, b);
	await images(registry, a);
	await files(a);
	assert.deepEqual(await s.call('DeleteHost', { host_id: a.id }), {});
	assert.equal((await s.call('ListHosts', {})).hosts.length, 2);
	const before = s.driven.size;
	await s.check_rest();
	console.log(`scheduler: ${before} of ${Object.keys(s.definition).length} methods`);
	for (const x of [health, s])
		x.close();
	daemon.server.forceShutdown();
	registry.server.close();
}

main().catch((e) => { console.error(e); process.exit(1); });
