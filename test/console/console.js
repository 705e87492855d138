// Plays the console in a real browser: node console.js URL SCREENSHOT_DIR CHROMIUM. The manager is new:
// its first user still has the first password. Every page is looked at by axe, in light and dark, and
// kept as a picture; any request that leaves the manager is a failure.
// The last line is "console N passed, N failed".
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { open } from './browser.js';
import { topology } from './fleet.js';

const [url, pictures, chromium] = process.argv.slice(2);
const { page, context, foreign, complaints, test, finish, field, press, heading, faults, loaded, overhang } = await open(url, pictures, chromium);
const password = 'skimming7';

// Light in English, dark in Chinese; all that can be combined is pictures.js's.
async function inBothDresses(path, title, picture) {
	await page.goto(url + path);
	await heading(title);
	await loaded();
	assert.deepEqual(await faults(), [], `axe, ${path}, light`);
	await page.screenshot({ path: join(pictures, `${picture}.png`), fullPage: true });
	await page.setViewportSize({ width: 360, height: 740 });
	const wide = await overhang();
	await page.setViewportSize({ width: 1280, height: 800 });
	await press('中文');
	await page.emulateMedia({ colorScheme: 'dark' });
	assert.deepEqual(await faults(), [], `axe, ${path}, dark, in Chinese`);
	await page.screenshot({ path: join(pictures, `${picture}-dark.png`), fullPage: true });
	assert.ok(wide <= 0, `${path} is ${wide} pixels wider than a telephone`);
}

async function look(...page_) {
	await page.emulateMedia({ colorScheme: 'light' });
	try {
		await inBothDresses(...page_);
	} finally { // others go on in English, by day and at a desk
		await page.setViewportSize({ width: 1280, height: 800 });
		await page.evaluate(() => localStorage.removeItem('language'));
		await page.emulateMedia({ colorScheme: 'light' });
	}
}

// Not the commands below them, which are there before the manager has told its port.
const helmValues = () => page.locator('.code', { has: page.getByText('Helm values', { exact: true }) }).locator('pre');

await test('a wrong password is told', async () => {
	await page.goto(url);
	await field('Account *').fill('root');
	await field('Password *').fill('wrong-one1');
	await press('Sign in');
	await page.getByRole('alert').waitFor();
});

await test('the first sign-in, by keyboard alone, asks for a new password', async () => {
	await page.goto(url);
	await field('Account *').focus();
	await page.keyboard.type('root');
	await page.keyboard.press('Tab');
	await page.keyboard.type('dragonfly');
	await page.keyboard.press('Enter');
	await heading('Choose a new password');
	await page.screenshot({ path: join(pictures, 'first-password.png') });
	assert.deepEqual(await faults(), []);
	await field('Old password *').fill('dragonfly');
	await field('New password *').fill(password);
	await field('New password again *').fill('another99');
	await press('Change password');
	await page.getByText('The two differ').waitFor();
	await field('New password again *').fill(password);
	await press('Change password');
	await heading('Overview');
});

await test('cluster A is there by itself', async () => {
	await page.getByRole('navigation').getByRole('link', { name: 'Clusters' }).click();
	await page.getByRole('link', { name: 'cluster-1' }).waitFor();
	await page.getByText('Default', { exact: true }).waitFor();
});

await test('ADD CLUSTER checks what is typed and makes cluster B', async () => {
	await page.getByRole('link', { name: 'ADD CLUSTER' }).click();
	await heading('Add cluster');
	await field('Name *').fill('cluster b');
	await page.getByText('1 to 40 letters, digits or').waitFor();
	await field('Name *').fill('cluster-b');
	await field('CIDRs').fill('10.0.0.0/33');
	await page.getByText('10.0.0.0/33: not a network like 10.0.0.0/8').waitFor();
	await field('CIDRs').fill('');
	await field('Hostnames').fill('web-[');
	await page.getByText('web-[: not a regular expression').waitFor();
	await field('Hostnames').fill('');
	await field('IDC').fill('cluster-2');
	await page.getByText(/Matches 0 \/ \d+ known nodes/).waitFor();
	await press('Save');
	await heading('cluster-b');
});

await test("B's page has the values of charts-config-cluster-b.yaml", async () => {
	const host = new URL(url).hostname;
	const values = await helmValues().textContent();
	for (const line of ['schedulerClusterID: 2', 'clusterID: 2', 'idc: "cluster-2"', `addr: ${host}:65003`, `host: ${host}`, `restPort: ${new URL(url).port}`])
		assert.ok(values.includes(line), `${line} is not in\n${values}`);
});

await test('values are copied, also on a page that came by plain HTTP', async () => {
	const values = await helmValues().textContent();
	// It says so for two seconds only.
	await Promise.all([page.getByText('Copied', { exact: true }).waitFor(), press('Copy: Helm values')]);
	await page.goto(`${url}/clusters/new`);
	await field('Hostnames').focus();
	await page.keyboard.press('Control+V');
	await page.waitForFunction(() => document.activeElement.value);
	assert.equal(await field('Hostnames').inputValue(), values);
	await page.goto(`${url}/clusters/2`);
	await heading('cluster-b');
});

await test('an edit shows what changes before it is saved', async () => {
	await page.getByRole('link', { name: 'Edit', exact: true }).click();
	await field('Peer load limit').fill('99999');
	await page.getByText('1 – 2000', { exact: true }).waitFor();
	await field('Peer load limit').fill('300');
	await press('Show what changes');
	await page.getByRole('cell', { name: '300' }).waitFor();
	await press('Save');
	await heading('cluster-b');
	await page.getByText('300', { exact: true }).waitFor();
});

await test('peers with IDC cluster-2 appear under B', async () => {
	await page.goto(`${url}/peers?scheduler_cluster_id=2`);
	await heading('Peers');
	const until = Date.now() + 90000;
	while (!(await page.getByRole('link', { name: 'nodeb' }).isVisible())) {
		assert.ok(Date.now() < until, 'nodeb is not under B');
		await Promise.all([page.waitForResponse(/\/api\/v1\/jobs$/), press('Refresh')]);
	}
	await page.goto(`${url}/clusters/2`);
	await heading('cluster-b');
	await page.getByRole('link', { name: 'nodeb' }).waitFor();
});

await test('what is typed into a filter stays while the list is loaded anew', async () => {
	await page.goto(`${url}/peers`);
	await page.getByRole('link', { name: 'seed', exact: true }).waitFor();
	await field('Hostname').fill('node');
	// Without the focus that a click takes.
	await Promise.all([page.waitForRequest(/\/api\/v1\/peers\?.*per_page=50/), page.getByRole('button', { name: 'Refresh' }).dispatchEvent('click')]);
	assert.equal(await field('Hostname').inputValue(), 'node');
	await page.keyboard.press('Enter');
	await page.getByRole('link', { name: 'seed', exact: true }).waitFor({ state: 'detached' });
	await page.getByRole('link', { name: 'node', exact: true }).waitFor();
});

await test('a second cluster of the same name is refused', async () => {
	await page.goto(`${url}/clusters/new`);
	await field('Name *').fill('cluster-b');
	await press('Save');
	await page.getByRole('alert').waitFor();
});

await test('a new token is shown once and kept nowhere', async () => {
	await page.goto(`${url}/tokens/new`);
	await field('Name *').fill('ci');
	await page.getByLabel('Clusters').check();
	await press('Create');
	const token = await page.locator('pre').textContent();
	assert.match(token, /^\S{20,}$/);
	assert.ok(!(await page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage }))).includes(token));
	const answer = await context.request.get(`${url}/oapi/v1/clusters`, { headers: { Authorization: `Bearer ${token}` } });
	assert.equal(answer.status(), 200);
	await page.goto(`${url}/tokens`);
	await page.getByRole('cell', { name: 'ci', exact: true }).waitFor();
	assert.ok(!(await page.content()).includes(token));
});

await test('what is deleted is named, and its name must be typed', async () => {
	await press('Delete');
	const asked = page.getByRole('dialog', { name: 'Delete: ci' });
	const go = asked.getByRole('button', { name: 'Delete', exact: true });
	assert.ok(await go.isDisabled());
	await page.keyboard.type('ci');
	await page.keyboard.press('Escape');
	await asked.waitFor({ state: 'detached' });
	await page.getByRole('cell', { name: 'ci', exact: true }).waitFor();
	await press('Delete');
	await asked.waitFor();
	await page.keyboard.type('ci');
	await page.keyboard.press('Enter');
	await page.getByText('Nothing here yet.').waitFor();
});

await test('a user is made, gets a role and loses it', async () => {
	await page.goto(`${url}/users/new`);
	await field('Account *').fill('alice');
	await field('E-mail *').fill('alice@example.com');
	await field('Password *').fill('wonderland1');
	await press('Create');
	await heading('alice');
	await Promise.all([page.waitForResponse(/\/roles\/root$/), page.getByLabel('root').check()]);
	await page.reload();
	await heading('alice');
	assert.ok(await page.getByLabel('root').isChecked());
	await Promise.all([page.waitForResponse(/\/roles\/root$/), page.getByLabel('root').uncheck()]);
});

await test('the overview tells what was delivered and what the origin was spared', async () => {
	await page.goto(url);
	await heading('Overview');
	const amount = (name) => page.locator('.card.count', { hasText: name }).locator('strong');
	for (const name of ['Delivered to nodes', 'Read from the origin'])
		await amount(name).filter({ hasText: /^12\.0\sMiB$/ }).waitFor();
	const answer = await (await context.request.get(`${url}/api/v2/overview`)).json();
	assert.equal(answer.traffic.to_nodes.seeds.bytes, 12 << 20);
	assert.equal(answer.traffic.to_seeds.origin.bytes, 12 << 20);
	await page.getByRole('cell', { name: '100.0 %' }).waitFor();
});

await test('tasks that schedulers know are listed, and one shows who has which piece', async () => {
	await page.goto(`${url}/tasks`);
	await page.getByRole('row', { name: /file\.bin/ }).getByRole('link').click();
	await heading('Task');
	await page.getByText('3 / 3 pieces are with somebody', { exact: true }).first().waitFor();
	await page.getByRole('img', { name: 'node: 3 / 3' }).waitFor();
	await page.getByRole('img', { name: 'seed: 3 / 3' }).waitFor();
});

await test('the topology is live: the seed feeds the node, and the picture can be asked by keyboard', async () => {
	await page.goto(`${url}/topology`);
	await heading('Topology');
	await page.getByRole('row', { name: /seed node .*12\.0\sMiB/ }).waitFor();
	await field('Host').selectOption({ label: 'node' });
	await page.getByRole('heading', { name: 'Is fed by (1)' }).waitFor();
	await page.getByRole('img', { name: /^Topology: \d+ hosts/ }).focus();
	for (const key of ['+', 'ArrowLeft', '-', '0'])
		await page.keyboard.press(key);
	await field('Cluster').selectOption('2');
	await page.getByRole('img', { name: /^Topology: 1 hosts/ }).waitFor();
});

await test('a peer\'s page tells what it does now', async () => {
	await page.goto(`${url}/peers?host_name=node`);
	await page.getByRole('link', { name: 'node', exact: true }).click();
	await page.getByRole('heading', { name: 'Is fed by (1)' }).waitFor();
});

// How many frames a second is pictures.js's: it is not asked of a machine that has other things to do.
await test('the topology of 1,000 hosts is drawn and moves', async () => {
	const events = `retry: 200\n\ndata: ${JSON.stringify(topology(1000))}\n\n`;
	await page.route('**/api/v2/topology/events', (route) => route.fulfill({ contentType: 'text/event-stream', body: events }));
	try {
		await page.goto(`${url}/topology`);
		await page.getByRole('img', { name: /^Topology: 1000 hosts, \d+ \/ 3000 flows/ }).waitFor();
		await page.waitForFunction(() => document.querySelector('canvas').frames > 30);
		await page.screenshot({ path: join(pictures, 'topology-1000.png') });
	} finally {
		await page.unroute('**/api/v2/topology/events');
	}
});

await test('an image is preheated by its name', async () => {
	await page.goto(`${url}/jobs/preheats/new`);
	const image = field('Image *');
	await image.fill('Not An Image');
	await press('Preheat');
	await page.getByText('A name like registry/repository:tag').first().waitFor();
	await image.fill('nginx:1.27');
	await page.getByText('https://registry-1.docker.io/v2/library/nginx/manifests/1.27', { exact: true }).waitFor();
	await field('Type').selectOption('file');
	await field('URL *').fill('file.bin');
	await page.getByText('file.bin: not a URL').waitFor();
});

await test('what was done is in the audit', async () => {
	await page.goto(`${url}/audit?path=/api/v1/clusters`);
	await page.getByRole('cell', { name: '/api/v1/clusters', exact: true }).first().waitFor();
});

for (const [path, title, picture] of [['/', 'Overview', 'overview'], ['/clusters', 'Clusters', 'clusters'], ['/clusters/new', 'Add cluster', 'cluster-new'],
	['/clusters/2', 'cluster-b', 'cluster'], ['/schedulers', 'Schedulers', 'schedulers'], ['/seed-peers', 'Seed peers', 'seed-peers'], ['/peers', 'Peers', 'peers'],
	['/topology', 'Topology', 'topology'], ['/jobs/preheats', 'Preheat', 'preheats'], ['/jobs/preheats/new', 'New preheat', 'preheat-new'], ['/tasks', 'Tasks', 'tasks'], ['/tokens', 'Tokens', 'tokens'],
	['/users', 'Users', 'users'], ['/roles', 'Roles', 'roles'], ['/audit', 'Audit', 'audit'], ['/profile', 'root', 'profile']])
	await test(`${path} is clean, light and dark, and fits a telephone`, () => look(path, title, picture));

await test('a node is clean, light and dark, and fits a telephone', async () => {
	const [node] = await (await context.request.get(`${url}/api/v1/peers?host_name=node`)).json();
	await look(`/peers/${node.id}`, 'node', 'node');
});

await test('a task is clean, light and dark, and fits a telephone', async () => {
	const { tasks } = await (await context.request.get(`${url}/api/v2/tasks`)).json();
	await look(`/tasks/${tasks[0].id}`, 'Task', 'task');
});

await test('a wrong old password is told and ends no session', async () => {
	await page.goto(`${url}/profile`);
	await field('Old password *').fill('wrong-one1');
	await field('New password *').fill('another99');
	await field('New password again *').fill('another99');
	await press('Change password');
	await page.getByText('the old password is wrong').waitFor();
	await heading('root');
});

await test('when the session has ended, signing in leads back to where one was', async () => {
	await page.goto(`${url}/clusters/2/edit`);
	// All that this page asks for is here before its form is: nothing but the click meets the end.
	await field('Name *').waitFor();
	await context.clearCookies();
	await page.getByRole('link', { name: 'Cancel', exact: true }).click();
	await page.getByText('The session has ended.').waitFor();
	await field('Account *').fill('root');
	await field('Password *').fill(password);
	await press('Sign in');
	await heading('cluster-b');
});

await test('Chinese', async () => {
	await page.goto(url);
	await press('中文');
	await heading('概览');
	await page.screenshot({ path: join(pictures, 'overview-zh.png') });
	await press('English');
	await heading('Overview');
});

await test('who signs out is not told of an end; a guest sees and does not change', async () => {
	await press('Sign out');
	await field('Account *').waitFor();
	assert.equal(await page.getByText('The session has ended.').count(), 0);
	await field('Account *').fill('alice');
	await field('Password *').fill('wonderland1');
	await press('Sign in');
	await heading('Overview');
	await page.goto(`${url}/clusters`);
	await page.getByRole('link', { name: 'cluster-1' }).waitFor();
	assert.equal(await page.getByRole('link', { name: 'ADD CLUSTER' }).count(), 0);
});

await test('no request left the manager, and the browser complained of nothing', async () => {
	assert.deepEqual(foreign, []);
	assert.deepEqual(complaints, []);
});

await finish();
