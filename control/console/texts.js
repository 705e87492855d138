// What the pages say, against its translations: a text that is in t('…') and not in the table, or in
// the table and in no page, is told. Texts that are looked up by a variable are literals elsewhere.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { zh } from './src/zh.js';

export function textFaults(dir) {
	const sources = readdirSync(dir, { recursive: true }).filter((f) => /\.jsx?$/.test(f) && f !== 'zh.js')
		.map((f) => readFileSync(join(dir, f), 'utf8')).join('\n');
	const said = [...sources.matchAll(/\bt\('((?:[^'\\]|\\.)*)'\)/g)].map((m) => m[1].replace(/\\(.)/g, '$1'));
	const literals = new Set([...sources.matchAll(/'((?:[^'\\\n]|\\.)*)'/g)].map((m) => m[1].replace(/\\(.)/g, '$1')));
	return [...[...new Set(said)].filter((text) => !(text in zh)).map((text) => `not translated: ${text}`),
		...Object.keys(zh).filter((text) => !literals.has(text)).map((text) => `said nowhere: ${text}`)];
}
