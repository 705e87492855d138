// Every page of the console in both languages and colours, on a telephone, a desk and a 4K screen, of a
// manager that knows 10,000 peers: node pictures.js URL DIR CHROMIUM [DOCS]. Each is looked at by axe
// and must fit its width; a picture of each is left in DIR. With DOCS only the small ones of docs/ are made.
// What only schedulers know is made up (fleet.js). The last line is "console N passed, N failed".
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { open } from './browser.js';
import * as fleet from './fleet.js';

const [url, dir, chromium, docs] = process.argv.slice(2);
const { page, context, foreign, complaints, test, finish, field, press, heading, faults, loaded, overhang } = await open(url, dir, chromium);
const password = 'skimming7';
// Whoever started us does it, and says when it is done.
const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
async function manager(what) {
	console.log(`manager: ${what}`);
	await answers.next();
}

const widths = { 360: 740, 1280: 800, 3840: 2160 };
const api = async (method, path, data) => {
	const answer = await context.request.fetch(`${url}/api/v1/${path}`, { method, data });
	assert.ok(answer.ok(), `${method} ${path}: ${answer.status()} ${await answer.text()}`);
	return answer.json().catch(() => null);
};

async function madeUp(path, of) {
	let n = 0;
	await page.route(`**/api/v2/${path}/events`, (route) => route.fulfill({ contentType: 'text/event-stream',
		body: `retry: 1000\n\ndata: ${JSON.stringify(of(n++))}\n\n` }));
}

// A small one, for documents.
async function keep(name) {
	const png = (await page.screenshot()).toString('base64');
	const blank = await context.newPage();
	const webp = await blank.evaluate(async (source) => {
		const image = new Image();
		image.src = `data:image/png;base64,${source}`;
		await image.decode();
		const canvas = new OffscreenCanvas(image.width, image.height);
		canvas.getContext('2d').drawImage(image, 0, 0);
		const blob = await canvas.convertToBlob({ type: 'image/webp', quality: 0.7 });
		return Array.from(new Uint8Array(await blob.arrayBuffer()));
	}, png);
	await blank.close();
	writeFileSync(join(docs, `${name}.webp`), Uint8Array.from(webp));
}

// The page as it is now, in everything that may change; ready: brings it to the state that is shown.
async function look(name, ready = async () => {}) {
	if (docs) {
		await page.reload();
		await loaded();
		await ready('en');
		await page.waitForTimeout(name === 'topology' ? 1200 : 150);
		await keep(name);
		return;
	}
	for (const language of ['en', 'zh']) {
		await page.evaluate((l) => localStorage.setItem('language', l), language);
		for (const [width, height] of Object.entries(widths)) {
			await page.setViewportSize({ width: Number(width), height });
			await page.reload();
			await loaded();
			await ready(language);
			await page.waitForTimeout(name === 'topology' ? 1200 : 150); // a frame of what is drawn
			for (const colorScheme of ['light', 'dark']) {
				await page.emulateMedia({ colorScheme });
				await page.screenshot({ path: join(dir, `${name}-${language}-${width}-${colorScheme}.png`), fullPage: true });
				if (width === '1280')
					assert.deepEqual(await faults(), [], `axe, ${name}, ${language}, ${colorScheme}`);
			}
			assert.ok(await overhang() <= 0, `${name} in ${language} is ${await overhang()} pixels wider than ${width}`);
		}
	}
	await page.emulateMedia({ colorScheme: 'light' });
	await page.evaluate(() => localStorage.removeItem('language'));
	await page.setViewportSize({ width: 1280, height: 800 });
}

const pageIn = (name, path, ready) => test(`${name}, in every dress`, async () => {
	await page.goto(url + path);
	await look(name, ready);
});

mkdirSync(dir, { recursive: true });
await page.goto(url);
await pageIn('sign-in', '/clusters');

await test('the first password', async () => {
	await page.goto(url);
	await field('Account *').fill('root');
	await field('Password *').fill('dragonfly');
	await press('Sign in');
	await heading('Choose a new password');
	await look('first-password');
	await page.reload();
	await field('Old password *').fill('dragonfly');
	await field('New password *').fill(password);
	await field('New password again *').fill(password);
	await press('Change password');
	await heading('Overview');
});

const b = await api('POST', 'clusters', { name: 'cluster-b', bio: 'The second data centre', scopes: { idc: 'idc-1', cidrs: ['10.0.16.0/20'], hostnames: ['node-1.*'] },
	scheduler_cluster_config: {}, seed_peer_cluster_config: {}, peer_cluster_config: { block_list: { task: { download: { tags: ['nightly'] } } } } });
for (const [i, cluster] of [[0, 1], [1, 1], [2, b.scheduler_cluster_id]])
	await api('POST', 'schedulers', { host_name: `scheduler-${i}`, ip: `10.2.0.${i}`, port: 8002, idc: `idc-${i % 2}`, location: 'eu|de|fra', scheduler_cluster_id: cluster });
for (const [i, cluster] of [[0, 1], [1, b.seed_peer_cluster_id]])
	await api('POST', 'seed-peers', { host_name: `seed-${i}`, ip: `10.3.0.${i}`, port: 4000, download_port: 4001, type: 'super', idc: `idc-${i}`, seed_peer_cluster_id: cluster });
await api('POST', 'personal-access-tokens', { name: 'ci', bio: 'preheats before a release', user_id: 1, scopes: ['job'], expired_at: new Date(Date.now() + 9e9).toISOString() });
await api('POST', 'users/signup', { name: 'alice', email: 'alice@example.com', password: 'wonderland1' });
await api('POST', 'roles', { role: 'release', permissions: [{ object: 'jobs', action: '*' }, { object: 'clusters', action: 'read' }] });
const job = await api('POST', 'jobs', { type: 'preheat', bio: 'before release 1.4', scheduler_cluster_ids: [1], args: { type: 'image', scope: 'all_seed_peers', url: 'https://registry.example.com/v2/library/app/manifests/1.4' } });
const peers = await api('GET', 'peers?per_page=50');

await madeUp('overview', fleet.overview);
await madeUp('tasks', fleet.tasks);
await madeUp('topology', () => fleet.topology(1000));

await test('10,000 peers are sorted, filtered and turned over', async () => {
	const first = () => page.locator('tbody tr').first().locator('td').first().textContent();
	const is = (name) => page.waitForFunction((n) => document.querySelector('tbody td')?.textContent === n, name);
	await page.goto(`${url}/peers`);
	await is('node-00000.example.com');
	await press('Last');
	await is('node-09950.example.com');
	await page.getByText('200 / 200 (10,000)').waitFor();
	await page.getByRole('columnheader', { name: 'Hostname' }).getByRole('button').click();
	await is('node-00000.example.com');
	await page.getByRole('columnheader', { name: 'Hostname' }).getByRole('button').click();
	await is('node-09999.example.com');
	await page.reload();
	await is('node-09999.example.com');
	assert.equal(await page.getByRole('columnheader', { name: 'Hostname' }).getAttribute('aria-sort'), 'descending');
	assert.equal(await page.locator('th[aria-sort]').count(), 1);
	await field('Hostname').fill('node-0123*');
	await page.keyboard.press('Enter');
	await is('node-01239.example.com');
	await page.waitForFunction(() => document.querySelectorAll('tbody tr').length === 10);
	await field('State').selectOption('inactive');
	await page.getByText('Nothing here yet.').waitFor();
	await field('State').selectOption('');
	await is('node-01239.example.com');
	const [file] = await Promise.all([page.waitForEvent('download'), press('CSV')]);
	assert.equal(file.suggestedFilename(), 'peers.csv');
	await page.goto(`${url}/peers`);
	await is(await first());
	await press('Count those of all peers');
	await page.getByText('10,000 (9,800 active)').waitFor();
});

await test('the topology of 1,000 hosts is drawn at 30 frames a second', async () => {
	await page.goto(`${url}/topology`);
	await page.getByRole('img', { name: /^Topology: 1000 hosts, \d+ \/ 3000 flows/ }).waitFor();
	let best = 0;
	for (let i = 0; i < 30 && best < 30; i++)
		best = Math.max(best, await page.evaluate(async () => {
			const canvas = document.querySelector('canvas'), from = canvas.frames, start = performance.now();
			await new Promise((done) => setTimeout(done, 2000));
			return (canvas.frames - from) / (performance.now() - start) * 1000;
		}));
	console.log(`topology hosts=1000 flows=3000 fps=${best.toFixed(1)}`);
	assert.ok(best >= 30, `${best} frames a second`);
});

await pageIn('overview', '/', () => page.locator('.share').waitFor());
await pageIn('topology', '/topology', () => page.locator('canvas').waitFor());
await pageIn('clusters', '/clusters');
await pageIn('cluster', `/clusters/${b.id}`);
await pageIn('cluster-add', '/clusters/new', async (language) => {
	await page.locator('input').first().fill('cluster b');
	await page.getByLabel('CIDRs', { exact: true }).or(page.getByLabel('CIDR', { exact: true })).fill('10.0.0.0/33');
	await page.getByLabel('IDC', { exact: true }).fill('idc-1');
	await page.getByText(language === 'en' ? 'Matches 5000' : '匹配 5000').waitFor();
});
await pageIn('cluster-edit', `/clusters/${b.id}/edit`, async () => {
	await page.locator('input[inputmode=numeric]').first().fill('1500');
	await page.locator('.formend .primary').click();
	await page.locator('.diff').waitFor();
	await page.evaluate(() => scrollTo(0, document.body.scrollHeight));
});
await pageIn('schedulers', '/schedulers');
await pageIn('scheduler', '/schedulers/1');
await pageIn('seed-peers', '/seed-peers');
await pageIn('peers', '/peers?sort=-host_name');
await page.unroute('**/api/v2/topology/events');
await madeUp('topology', () => fleet.topologyOf(peers));
await pageIn('node', `/peers/${peers[3].id}`, () => page.locator('.columns table').first().waitFor());
await pageIn('tasks', '/tasks', () => page.locator('tbody tr').first().waitFor());
await page.route('**/api/v2/tasks/0*', (route) => route.fulfill({ contentType: 'application/json', body: JSON.stringify(fleet.oneTask()) }));
await pageIn('task', `/tasks/${fleet.oneTask().id}`);
await pageIn('preheats', '/jobs/preheats');
await pageIn('preheat', `/jobs/preheats/${job.id}`);
await pageIn('preheat-new', '/jobs/preheats/new', async () => {
	await page.locator('textarea').first().fill('ghcr.io/example/model-server:1.4');
	await page.getByText('https://ghcr.io/v2/example/model-server/manifests/1.4', { exact: true }).waitFor();
});
await pageIn('executions', '/tasks/executions');
await pageIn('tokens', '/tokens');
await pageIn('token-new', '/tokens/new');
await pageIn('token-delete', '/tokens', async () => {
	await page.locator('td .danger').first().click();
	await page.locator('dialog').waitFor();
});
await pageIn('users', '/users');
await pageIn('user', '/users/2');
await pageIn('user-new', '/users/new');
await pageIn('roles', '/roles');
await pageIn('audit', '/audit');
await pageIn('profile', '/profile');
await pageIn('nowhere', '/nowhere');

await test('while the manager is gone pages say so, keep what they have, and go on when it is back', async () => {
	await page.unroute('**/api/v2/overview/events');
	await page.goto(url);
	await page.locator('.share').waitFor();
	await manager('stop');
	await page.getByText('Not up to date: The manager cannot be reached.').waitFor();
	await page.locator('.share').waitFor();
	await page.getByRole('navigation').getByRole('link', { name: 'Clusters' }).click();
	await page.getByRole('alert').getByText('The manager cannot be reached.').waitFor();
	assert.deepEqual(await faults(), []);
	await page.screenshot({ path: join(dir, 'manager-gone.png') });
	await manager('start');
	await page.getByRole('link', { name: 'cluster-b' }).waitFor();
});

await test('a form that could not be sent keeps what was typed, and is sent when the manager is back', async () => {
	await page.goto(`${url}/clusters/new`);
	await field('Name *').fill('cluster-c');
	await manager('stop');
	await press('Save');
	await page.getByRole('alert').getByText('The manager cannot be reached.').waitFor();
	await manager('start');
	assert.equal(await field('Name *').inputValue(), 'cluster-c');
	await press('Save');
	await heading('cluster-c');
});

await test('an overview that was open while the manager was gone lives again', async () => {
	await page.goto(url);
	await page.locator('.share').waitFor();
	await manager('stop');
	await page.getByText('Not up to date: The manager cannot be reached.').waitFor();
	await manager('start');
	await page.getByText('Not up to date: The manager cannot be reached.').waitFor({ state: 'detached', timeout: 60000 });
});

await test('no request left the manager, and the browser complained of nothing', async () => {
	assert.deepEqual(foreign, []);
	assert.deepEqual(complaints, []);
});
await finish();
