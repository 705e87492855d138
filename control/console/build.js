// Builds the console: node build.js OUT. One script, one style sheet, one page; names carry a hash of
// the contents, so browsers may keep them for ever, and beside each is what the manager sends of it to
// those that take gzip. Prints what the first load weighs.
import { build } from 'esbuild';
import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { join } from 'node:path';
import { textFaults } from './texts.js';

const out = process.argv[2] ?? 'dist';
const budget = 120 << 10;

const faults = textFaults('src');
if (faults.length) {
	console.error(`src/zh.js:\n${faults.join('\n')}`);
	process.exit(1);
}

const { outputFiles } = await build({
	entryPoints: ['src/main.jsx', 'src/style.css'],
	bundle: true,
	minify: true,
	format: 'esm',
	target: 'es2020',
	jsx: 'automatic',
	jsxImportSource: 'preact',
	outdir: out,
	write: false,
	logLevel: 'warning',
});

mkdirSync(join(out, 'assets'), { recursive: true });
for (const old of readdirSync(join(out, 'assets')))
	rmSync(join(out, 'assets', old));

let page = readFileSync('src/index.html', 'utf8');
let first = 0;
for (const file of outputFiles) {
	const kind = file.path.endsWith('.css') ? 'css' : 'js';
	const hash = createHash('sha256').update(file.contents).digest('hex').slice(0, 12);
	const name = `console-${hash}.${kind}`;
	const packed = gzipSync(file.contents, { level: 9 });
	writeFileSync(join(out, 'assets', name), file.contents);
	writeFileSync(join(out, 'assets', `${name}.gz`), packed);
	page = page.replace(`{{${kind}}}`, `/assets/${name}`);
	if (kind === 'js')
		first += packed.length;
}
copyFileSync('src/icon.svg', join(out, 'assets', 'icon.svg'));
writeFileSync(join(out, 'index.html'), page);
console.log(`console_gz_kib=${(first / 1024).toFixed(1)}`);
if (first > budget) {
	console.error(`the first load's script is ${first} bytes gzipped, more than ${budget}`);
	process.exit(1);
}
