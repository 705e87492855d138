// Drives every method of manager.v2.Manager: manager.js ADDRESS
'use strict';
const { assert, grpc, packages, Service, wait_for } = require('./grpc');

const SCHEDULER = { hostname: 'js-scheduler', ip: '10.20.0.1', scheduler_cluster_id: 1 };
const SEED = { hostname: 'js-seed', ip: '10.20.0.2', seed_peer_cluster_id: 1 };

function check_cluster(c) {
	assert.equal(c.id, '1');
	assert.equal(c.name, 'cluster-1');
	assert.equal(typeof c.bio, 'string');
	const config = JSON.parse(c.config.toString());
	assert.ok(config.candidate_parent_limit >= 1 && config.filter_parent_limit >= 1);
	assert.equal(typeof JSON.parse(c.client_config.toString()), 'object');
	assert.equal(typeof JSON.parse(c.seed_client_config.toString()), 'object');
	assert.equal(typeof JSON.parse(c.scopes.toString()), 'object');
}

function check_scheduler(s, state) {
	assert.ok(Number(s.id) >= 1);
	assert.equal(s.hostname, SCHEDULER.hostname);
	assert.equal(s.ip, SCHEDULER.ip);
	assert.equal(s.port, 8002);
	assert.equal(s.idc, 'idc-1');
	assert.equal(s.location, 'a|b');
	assert.equal(s.state, state);
	assert.equal(s.scheduler_cluster_id, '1');
	assert.deepEqual(JSON.parse(s.features.toString()), ['schedule', 'preheat']);
	check_cluster(s.scheduler_cluster);
}

async function keep_alive(m, source_type, member, cluster_id) {
	const s = m.client_stream('KeepAlive');
	s.call.write({ source_type, hostname: member.hostname, ip: member.ip, cluster_id });
	s.call.write({ source_type, hostname: member.hostname, ip: member.ip, cluster_id });
	return s;
}

async function schedulers(m) {
	const update = { source_type: 'SCHEDULER_SOURCE', ...SCHEDULER, port: 8002, idc: 'idc-1',
		location: 'a|b', features: ['schedule', 'preheat'] };

	check_scheduler(await m.call('UpdateScheduler', update), 'inactive');
	check_scheduler(await m.call('UpdateScheduler', update), 'inactive');
	const get = () => m.call('GetScheduler', { source_type: 'SCHEDULER_SOURCE', ...SCHEDULER });
	check_scheduler(await get(), 'inactive');
	assert.equal(await m.fails('GetScheduler', { ...SCHEDULER, hostname: 'nobody' }),
		grpc.status.NOT_FOUND);
	assert.equal(await m.fails('UpdateScheduler', { ...update, ip: 'no-ip' }),
		grpc.status.INVALID_ARGUMENT);

	const peer = { source_type: 'PEER_SOURCE', hostname: 'js-peer', ip: '10.20.0.9', version: '1',
		commit: 'c' };
	assert.deepEqual((await m.call('ListSchedulers', peer)).schedulers, []);
	const alive = await keep_alive(m, 'SCHEDULER_SOURCE', SCHEDULER, 1);
	await wait_for('an active scheduler', async () => (await get()).state === 'active');
	let list = (await m.call('ListSchedulers', peer)).schedulers;
	assert.equal(list.length, 1);
	check_scheduler(list[0], 'active');
	list = (await m.call('ListSchedulers', { ...peer, scheduler_cluster_id: 1 })).schedulers;
	assert.equal(list.length, 1);
	list = (await m.call('ListSchedulers', { ...peer, scheduler_cluster_id: 77 })).schedulers;
	assert.deepEqual(list, []);
	return { alive, get, peer };
}

function check_seed(s, state) {
	assert.ok(Number(s.id) >= 1);
	assert.equal(s.hostname, SEED.hostname);
	assert.equal(s.type, 'super');
	assert.equal(s.idc, 'idc-2');
	assert.equal(s.location, 'c');
	assert.equal(s.ip, SEED.ip);
	assert.equal(s.port, 4000);
	assert.equal(s.download_port, 4001);
	assert.equal(s.state, state);
	assert.equal(s.seed_peer_cluster_id, '1');
}

async function seed_peers(m, peer) {
	const update = { source_type: 'SEED_PEER_SOURCE', ...SEED, type: 'super', idc: 'idc-2',
		location: 'c', port: 4000, download_port: 4001 };

	check_seed(await m.call('UpdateSeedPeer', update), 'inactive');
	const get = () => m.call('GetSeedPeer', { source_type: 'SEED_PEER_SOURCE', ...SEED });
	check_seed(await get(), 'inactive');
	const alive = await keep_alive(m, 'SEED_PEER_SOURCE', SEED, 1);
	await wait_for('an active seed peer', async () => (await get()).state === 'active');
	const list = (await m.call('ListSeedPeers', peer)).seed_peers;
	assert.equal(list.length, 1);
	check_seed(list[0], 'active');
	const scheduler = (await m.call('ListSchedulers', peer)).schedulers[0];
	assert.equal(scheduler.seed_peers.length, 1);
	check_seed(scheduler.seed_peers[0], 'active');

	// The end of the stream says that it is gone.
	alive.call.end();
	assert.deepEqual(await alive.answer, {});
	await wait_for('an inactive seed peer', async () => (await get()).state === 'inactive');
	assert.deepEqual(await m.call('DeleteSeedPeer', { source_type: 'SEED_PEER_SOURCE', ...SEED }), {});
	assert.equal(await m.fails('GetSeedPeer', SEED), grpc.status.NOT_FOUND);
	assert.equal(await m.fails('DeleteSeedPeer', SEED), grpc.status.NOT_FOUND);
}

async function applications(m, peer) {
	const list = (await m.call('ListApplications', peer)).applications;

	assert.equal(list.length, 1);
	assert.ok(Number(list[0].id) >= 1);
	assert.equal(list[0].name, 'js-app');
	assert.equal(list[0].url, 'http://example.com');
	assert.equal(list[0].bio, 'for the test');
	assert.deepEqual(list[0].priority, { value: 'LEVEL3', urls: [{ regex: 'x$', value: 'LEVEL5' }] });
}

async function main() {
	const m = new Service(packages.manager.v2.Manager, process.argv[2]);
	const { alive, get, peer } = await schedulers(m);

	await seed_peers(m, peer);
	await applications(m, peer);
	alive.call.cancel();
	await wait_for('an inactive scheduler', async () => (await get()).state === 'inactive');
	assert.deepEqual((await m.call('ListSchedulers', peer)).schedulers, []);
	await m.check_rest();
	console.log(`manager: ${m.driven.size} of ${Object.keys(m.definition).length} methods`);
	m.close();
}

main().catch((e) => { console.error(e); process.exit(1); });
