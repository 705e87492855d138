// Who feeds whom, drawn. Nodes and lines change once a second and are drawn into a picture of their own;
// a frame is that picture and the dots that run along the lines, so a thousand nodes cost as much as a few.

const turn = Math.PI * (3 - Math.sqrt(5));
const dotsMax = 1500;
const margin = 20;

const byPlace = (a, b) => a.idc.localeCompare(b.idc) || a.hostname.localeCompare(b.hostname, undefined, { numeric: true });

// Each cluster is a disc of its own, seeds in its middle: [x, y, radius] of every host, in a plane of any size.
export function layout(hosts) {
	const clusters = new Map();
	hosts.forEach((h, i) => {
		const list = clusters.get(h.scheduler_cluster_id) ?? [];
		list.push(i);
		clusters.set(h.scheduler_cluster_id, list);
	});
	const discs = [...clusters].sort(([a], [b]) => a - b).map(([id, list]) => ({ id, list, radius: 30 * Math.sqrt(list.length) + 60 }));
	const perRow = Math.ceil(Math.sqrt(discs.length));
	const step = 2 * Math.max(0, ...discs.map((d) => d.radius)) + 60;
	const places = new Array(hosts.length);
	discs.forEach((disc, n) => {
		disc.x = (n % perRow) * step;
		disc.y = Math.floor(n / perRow) * step;
		disc.list.sort((a, b) => hosts[b].is_seed - hosts[a].is_seed || byPlace(hosts[a], hosts[b]));
		disc.list.forEach((host, k) => {
			const r = 30 * Math.sqrt(k + (disc.list.length > 1 ? 0.5 : 0));
			places[host] = [disc.x + r * Math.cos(k * turn), disc.y + r * Math.sin(k * turn), hosts[host].is_seed ? 11 : 7];
		});
	});
	return { places, discs };
}

export class TopologyView {
	constructor(canvas, onPick) {
		this.canvas = canvas;
		this.onPick = onPick;
		this.still = document.createElement('canvas');
		this.hosts = [];
		this.flows = [];
		this.camera = { x: 0, y: 0, scale: 1 };
		this.frames = 0;
		this.calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
		this.observer = new ResizeObserver(() => this.resize());
		this.observer.observe(canvas);
		this.listen();
		this.frame = requestAnimationFrame((t) => this.tick(t));
	}

	close() {
		cancelAnimationFrame(this.frame);
		this.observer.disconnect();
		this.stopListening.abort();
	}

	listen() {
		this.stopListening = new AbortController();
		const on = (name, fn, more) => this.canvas.addEventListener(name, fn, { signal: this.stopListening.signal, ...more });
		let drag = null;
		on('pointerdown', (e) => {
			drag = { x: e.clientX, y: e.clientY, moved: false };
			this.canvas.setPointerCapture(e.pointerId);
		});
		on('pointermove', (e) => {
			if (!drag)
				return;
			drag.moved ||= Math.hypot(e.clientX - drag.x, e.clientY - drag.y) > 4;
			if (drag.moved) {
				this.pan(e.clientX - drag.x, e.clientY - drag.y);
				Object.assign(drag, { x: e.clientX, y: e.clientY });
			}
		});
		on('pointerup', (e) => {
			if (drag && !drag.moved)
				this.onPick(this.hostAt(e.offsetX, e.offsetY));
			drag = null;
		});
		on('wheel', (e) => {
			e.preventDefault();
			this.zoom(Math.exp(-e.deltaY / 500), e.offsetX, e.offsetY);
		}, { passive: false });
		on('keydown', (e) => {
			const move = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] }[e.key];
			if (move)
				this.pan(...move);
			else if (e.key === '+' || e.key === '=')
				this.zoom(1.25);
			else if (e.key === '-')
				this.zoom(0.8);
			else if (e.key === '0')
				this.fit();
			else
				return;
			e.preventDefault();
		});
	}

	// Colours of the page's theme, as the browser computes them.
	colour(name) {
		const probe = document.createElement('span');
		probe.style.color = `var(--${name})`;
		this.canvas.parentNode.append(probe);
		const value = getComputedStyle(probe).color;
		probe.remove();
		return value;
	}

	show({ hosts, flows }, picked) {
		const fleet = hosts.map((h) => h.id).join();
		this.hosts = hosts;
		this.flows = flows;
		this.picked = picked;
		if (fleet !== this.fleet) {
			this.fleet = fleet;
			Object.assign(this, layout(hosts));
			this.fit();
		}
		this.draw();
	}

	resize() {
		const ratio = devicePixelRatio || 1, { clientWidth: w, clientHeight: h } = this.canvas;
		for (const c of [this.canvas, this.still]) {
			c.width = Math.round(w * ratio);
			c.height = Math.round(h * ratio);
		}
		this.fit();
	}

	fit() {
		const { clientWidth: w, clientHeight: h } = this.canvas;
		const xs = (this.discs ?? []).flatMap((d) => [d.x - d.radius, d.x + d.radius]);
		const ys = (this.discs ?? []).flatMap((d) => [d.y - d.radius, d.y + d.radius]);
		if (!xs.length || !w || !h)
			return;
		const [x0, x1, y0, y1] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
		const scale = Math.min(w / (x1 - x0), (h - 2 * margin) / (y1 - y0), 2.5);
		this.camera = { scale, x: w / 2 - scale * (x0 + x1) / 2, y: h / 2 - scale * (y0 + y1) / 2 };
		this.draw();
	}

	pan(dx, dy) {
		this.camera.x += dx;
		this.camera.y += dy;
		this.draw();
	}

	zoom(by, x = this.canvas.clientWidth / 2, y = this.canvas.clientHeight / 2) {
		const c = this.camera, scale = Math.min(8, Math.max(0.02, c.scale * by));
		c.x = x - (x - c.x) * scale / c.scale;
		c.y = y - (y - c.y) * scale / c.scale;
		c.scale = scale;
		this.draw();
	}

	hostAt(x, y) {
		const c = this.camera;
		let best = null, nearest = 16 / c.scale;
		(this.places ?? []).forEach(([hx, hy], i) => {
			const d = Math.hypot((x - c.x) / c.scale - hx, (y - c.y) / c.scale - hy);
			if (d < nearest)
				[best, nearest] = [this.hosts[i].id, d];
		});
		return best;
	}

	// Lines in three widths and nodes in four colours, each class by one path.
	draw() {
		if (!this.places || !this.still.width)
			return;
		const g = this.still.getContext('2d'), ratio = devicePixelRatio || 1, c = this.camera;
		const picked = this.hosts.findIndex((h) => h.id === this.picked);
		g.setTransform(1, 0, 0, 1, 0, 0);
		g.clearRect(0, 0, this.still.width, this.still.height);
		g.setTransform(ratio * c.scale, 0, 0, ratio * c.scale, ratio * c.x, ratio * c.y);
		this.drawDiscs(g);
		const isOf = (f) => picked < 0 || f.parent === picked || f.child === picked;
		const line = (flows, colour, width, alpha) => {
			g.beginPath();
			for (const f of flows) {
				const [x0, y0] = this.places[f.parent], [x1, y1] = this.places[f.child];
				g.moveTo(x0, y0);
				g.lineTo(x1, y1);
			}
			g.strokeStyle = colour;
			g.lineWidth = width;
			g.globalAlpha = alpha;
			g.stroke();
		};
		const lit = this.flows.filter(isOf), quiet = lit.filter((f) => !f.bytes_per_second);
		const most = Math.max(1, ...lit.map((f) => f.bytes_per_second));
		const fast = lit.filter((f) => f.bytes_per_second > most / 4);
		const slow = lit.filter((f) => f.bytes_per_second > 0 && f.bytes_per_second <= most / 4);
		const thin = Math.min(1, Math.sqrt(500 / Math.max(1, lit.length))); // so that a crowd is no felt
		line(quiet, this.colour('quiet'), 0.8, 0.35 * thin);
		line(slow, this.colour('accent'), 1.2, 0.5 * thin);
		line(fast, this.colour('accent'), 2.4, 0.8 * thin);
		const moving = [...fast, ...slow], step = Math.ceil(moving.length / dotsMax);
		this.moving = moving.filter((f, i) => i % step === 0);
		this.dot = this.colour('ink');
		g.globalAlpha = 1;
		this.drawHosts(g, picked);
	}

	drawDiscs(g) {
		g.globalAlpha = 1;
		g.strokeStyle = this.colour('line');
		g.fillStyle = this.colour('quiet');
		g.lineWidth = 1 / this.camera.scale;
		g.font = `${13 / this.camera.scale}px system-ui, sans-serif`;
		g.textAlign = 'center';
		for (const d of this.discs) {
			g.beginPath();
			g.arc(d.x, d.y, d.radius - 20, 0, 2 * Math.PI);
			g.stroke();
			g.fillText(`#${d.id} · ${d.list.length}`, d.x, d.y - d.radius + 20 - 6 / this.camera.scale);
		}
	}

	drawHosts(g, picked) {
		const busy = new Set();
		for (const f of this.flows)
			busy.add(f.parent).add(f.child);
		const classes = [['quiet', (h, i) => !h.is_seed && !busy.has(i)], ['accent', (h, i) => !h.is_seed && busy.has(i)],
			['warn', (h) => h.is_seed], ['bad', (h) => h.from_origin.bytes_per_second > 0]];
		for (const [colour, is] of classes) {
			g.beginPath();
			this.hosts.forEach((h, i) => {
				if (!is(h, i))
					return;
				const [x, y, r] = this.places[i];
				g.moveTo(x + r, y);
				g.arc(x, y, r, 0, 2 * Math.PI);
			});
			g.fillStyle = this.colour(colour);
			g.fill();
		}
		const names = this.camera.scale > 1.1 ? this.hosts.keys() : picked >= 0 ? [picked] : [];
		g.fillStyle = this.colour('ink');
		g.font = `${12 / this.camera.scale}px system-ui, sans-serif`;
		for (const i of names) {
			const [x, y, r] = this.places[i];
			g.fillText(this.hosts[i].hostname, x, y + r + 13 / this.camera.scale);
		}
		if (picked >= 0) {
			const [x, y, r] = this.places[picked];
			g.beginPath();
			g.arc(x, y, r + 4, 0, 2 * Math.PI);
			g.strokeStyle = this.colour('ink');
			g.lineWidth = 2;
			g.stroke();
		}
	}

	tick(time) {
		this.frame = requestAnimationFrame((t) => this.tick(t));
		const g = this.canvas.getContext('2d'), ratio = devicePixelRatio || 1, c = this.camera;
		if (!this.canvas.width)
			return;
		g.setTransform(1, 0, 0, 1, 0, 0);
		g.clearRect(0, 0, this.canvas.width, this.canvas.height);
		g.drawImage(this.still, 0, 0);
		this.canvas.frames = ++this.frames;
		if (this.calm || !this.moving)
			return;
		g.fillStyle = this.dot;
		const size = Math.max(2, 5 * c.scale) * ratio;
		this.moving.forEach((f, i) => {
			const [x0, y0] = this.places[f.parent], [x1, y1] = this.places[f.child];
			const at = (time / 1400 + i * 0.377) % 1;
			g.fillRect(((x0 + (x1 - x0) * at) * c.scale + c.x) * ratio - size / 2,
				((y0 + (y1 - y0) * at) * c.scale + c.y) * ratio - size / 2, size, size);
		});
	}
}
