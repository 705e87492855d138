// Plays the console in a real browser: node console.js URL SCREENSHOT_DIR CHROMIUM. The manager is new:
// its first user still has the first password. Every page is looked at by axe, in light and dark, and
// kept as a picture; any request that leaves the manager is a failure.
// The last line is "console N passed, N failed".
import { chromium } from 'playwright-core';
import { createRequire } from 'node:module';
import assert from 'node:assert/strict';
import { join } from 'node:path';

const [url, pictures, executablePath] = process.argv.slice(2);
const axe = createRequire(process.env.NODE_PATH + '/').resolve('axe-core/axe.min.js');
const password = 'skimming7';

const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, bypassCSP: false });
const page = await context.newPage();
page.setDefaultTimeout(30000);

const foreign = [];
const complaints = [];
context.on('request', (r) => { if (!r.url().startsWith(url) && !/^(blob|data):/.test(r.url())) foreign.push(r.url()); });
page.on('pageerror', (e) => complaints.push(String(e)));
page.on('console', (m) => { if (m.type() === 'error' && !/status of 4\d\d/.test(m.text())) complaints.push(m.text()); });

let passed = 0, failed = 0;
async function test(name, run) {
	try {
		await run();
		passed++;
		console.log(`ok    ${name}`);
	} catch (e) {
		failed++;
		console.log(`FAIL  ${name}\n${e.stack}`);
		await page.screenshot({ path: join(pictures, `failed-${failed}.png`) });
	}
}

const field = (name) => page.getByLabel(name, { exact: true });
const press = (name) => page.getByRole('button', { name, exact: true }).click();
const heading = (name) => page.getByRole('heading', { name, exact: true, level: 1 }).waitFor();

// By axe's own means: evaluate() is not hindered by the page's policy.
async function faults() {
	const source = (await import('node:fs')).readFileSync(axe, 'utf8');
	await page.evaluate(source);
	const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
	return violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.target).join(' ')}`);
}

async function look(path, title, picture) {
	await page.goto(url + path);
	await heading(title);
	await page.waitForFunction(() => !document.querySelector('main [role=status]')?.textContent.includes('Loading'));
	for (const colorScheme of ['light', 'dark']) {
		await page.emulateMedia({ colorScheme });
		assert.deepEqual(await faults(), [], `axe, ${path}, ${colorScheme}`);
	}
	await page.screenshot({ path: join(pictures, `${picture}-dark.png`), fullPage: true });
	await page.emulateMedia({ colorScheme: 'light' });
	await page.screenshot({ path: join(pictures, `${picture}.png`), fullPage: true });
	await page.setViewportSize({ width: 360, height: 740 });
	const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
	await page.screenshot({ path: join(pictures, `${picture}-360.png`), fullPage: true });
	await page.setViewportSize({ width: 1280, height: 800 });
	assert.ok(wide <= 0, `${path} is ${wide} pixels wider than a telephone`);
}

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
	const values = await page.getByRole('region').or(page.locator('pre')).first().waitFor().then(() => page.locator('pre').first().textContent());
	for (const line of ['schedulerClusterID: 2', 'clusterID: 2', 'idc: "cluster-2"', `addr: ${host}:65003`, `host: ${host}`, `restPort: ${new URL(url).port}`])
		assert.ok(values.includes(line), `${line} is not in\n${values}`);
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

await test('what was done is in the audit', async () => {
	await page.goto(`${url}/audit?path=/api/v1/clusters`);
	await page.getByRole('cell', { name: '/api/v1/clusters', exact: true }).first().waitFor();
});

for (const [path, title, picture] of [['/', 'Overview', 'overview'], ['/clusters', 'Clusters', 'clusters'], ['/clusters/new', 'Add cluster', 'cluster-new'],
	['/clusters/2', 'cluster-b', 'cluster'], ['/schedulers', 'Schedulers', 'schedulers'], ['/seed-peers', 'Seed peers', 'seed-peers'], ['/peers', 'Peers', 'peers'],
	['/jobs/preheats', 'Preheat', 'preheats'], ['/jobs/preheats/new', 'New preheat', 'preheat-new'], ['/tasks', 'Tasks', 'tasks'], ['/tokens', 'Tokens', 'tokens'],
	['/users', 'Users', 'users'], ['/roles', 'Roles', 'roles'], ['/audit', 'Audit', 'audit'], ['/profile', 'root', 'profile']])
	await test(`${path} is clean, light and dark, and fits a telephone`, () => look(path, title, picture));

await test('Chinese', async () => {
	await page.goto(url);
	await press('中文');
	await heading('概览');
	await page.screenshot({ path: join(pictures, 'overview-zh.png') });
	await press('English');
	await heading('Overview');
});

await test('a guest sees and does not change', async () => {
	await press('Sign out');
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

await browser.close();
console.log(`console ${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
