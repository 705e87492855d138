// Preheats an image and waits until every one of the given hosts has all of it, as StatImage says:
// preheat.js ADDRESS MANIFEST_URL SCOPE HOSTNAME...
'use strict';
const { packages, Service, wait_for } = require('./grpc');

const [address, url, scope, ...hostnames] = process.argv.slice(2);

async function main() {
	const s = new Service(packages.scheduler.v2.Scheduler, address);

	await s.call('PreheatImage', { url, scope, timeout: { seconds: 120 } });
	await wait_for('all layers everywhere', async () => {
		const { image, peers } = await s.call('StatImage', { url });

		return hostnames.every((name) => {
			const peer = peers.find((p) => p.hostname === name);

			return peer && image.layers.every((l) =>
				peer.cached_layers.some((c) => c.url === l.url && c.is_finished));
		});
	}, 120000);
	s.close();
}

main().catch((e) => { console.error(e); process.exit(1); });
