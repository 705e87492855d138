// The browser that tests of the console play in. Any request that leaves the manager and anything the
// browser complains of is kept; finish() ends with "console N passed, N failed". After the third failure
// nothing more is played: what comes after it is likely to be its consequence.
import { chromium } from 'playwright-core';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const axe = readFileSync(createRequire(process.env.NODE_PATH + '/').resolve('axe-core/axe.min.js'), 'utf8');

export async function open(url, pictures, executablePath) {
	const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
	const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, locale: 'en-US', acceptDownloads: true });
	const page = await context.newPage();
	page.setDefaultTimeout(90000);

	const foreign = [], complaints = [];
	context.on('request', (r) => { if (!r.url().startsWith(url) && !/^(blob|data):/.test(r.url())) foreign.push(r.url()); });
	page.on('pageerror', (e) => complaints.push(String(e)));
	page.on('console', (m) => {
		if (m.type() === 'error' && !/status of 4\d\d|net::ERR_(CONNECTION_\w+|INCOMPLETE_CHUNKED_ENCODING|EMPTY_RESPONSE)/.test(m.text()))
			complaints.push(m.text());
	});

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
			if (failed === 3)
				await finish();
		}
	}

	async function finish() {
		await browser.close();
		console.log(`console ${passed} passed, ${failed} failed`);
		process.exit(failed ? 1 : 0);
	}

	return {
		page, context, foreign, complaints, test, finish,
		field: (name) => page.getByLabel(name, { exact: true }),
		press: (name) => page.getByRole('button', { name, exact: true }).click(),
		heading: (name) => page.getByRole('heading', { name, exact: true, level: 1 }).waitFor(),
		// What axe finds. By its own means: evaluate() is not hindered by the page's policy.
		faults: async () => {
			await page.evaluate(axe);
			const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
			return violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.target).join(' ')}`);
		},
		loaded: () => page.waitForFunction(() => document.querySelector('h1')
			&& ![...document.querySelectorAll('main [role=status]')].some((s) => /Loading|加载中/.test(s.textContent))),
		// By how many pixels the page is wider than its window.
		overhang: () => page.evaluate(() => document.documentElement.scrollWidth - innerWidth),
	};
}
