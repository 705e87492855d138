// A task: which pieces are with whom.
import { useEffect, useRef } from 'preact/hooks';
import { get } from '../api.js';
import { Link } from '../route.jsx';
import { bytes, Card, Copy, Loaded, Page, State, Table, Time, useColours, useLoad } from '../ui.jsx';
import { t } from '../text.js';

// How many of `holders` have each of `count` pieces.
export function heldBy(holders, count) {
	const held = new Uint16Array(count);
	for (const h of holders)
		for (let i = 0; i < count; i++)
			held[i] += h.has_all || (parseInt(h.pieces.slice(i >> 3 << 1, (i >> 3 << 1) + 2), 16) >> (i & 7) & 1);
	return held;
}

// Pieces from left to right; the more of `most` hold one, the fuller its colour.
function Pieces({ held, most, label, all }) {
	const ref = useRef(), colours = useColours();
	useEffect(() => {
		const canvas = ref.current, g = canvas.getContext('2d');
		canvas.width = Math.min(2048, Math.max(held.length, 1) * Math.max(1, Math.floor(1024 / Math.max(held.length, 1))));
		canvas.height = 1;
		g.fillStyle = getComputedStyle(canvas).color;
		const width = canvas.width / held.length;
		held.forEach((n, i) => {
			g.globalAlpha = n ? 0.25 + 0.75 * n / most : 0;
			g.fillRect(Math.floor(i * width), 0, Math.max(1, Math.ceil(width)), 1);
		});
	}, [held.join(), most, colours]);
	return <canvas ref={ref} class={all ? 'pieces all' : 'pieces'} role="img" aria-label={label} style={{ color: 'var(--accent)' }} />;
}

function Holders({ task }) {
	const count = Math.min(task.piece_count, 65536), each = task.holders.map((h) => heldBy([h], count));
	const held = heldBy(task.holders, count), missing = held.filter((n) => n === 0).length;
	const names = new Map(task.holders.map((h) => [h.host_id, h.hostname]));
	return <>
		<Card title={t('Pieces')}>
			<Pieces all held={held} most={Math.max(1, task.holders.length)} label={`${count - missing} / ${count} ${t('pieces are with somebody')}`} />
			<p>{count - missing} / {count} {t('pieces are with somebody')}</p>
		</Card>
		<Card title={`${t('Who has it')} (${task.holders.length} / ${task.peers})`}>
			<Table caption={t('Who has it')} rows={task.holders.map((h, i) => ({ ...h, id: h.host_id, held: each[i] }))} columns={[
				{ name: t('Hostname'), text: (h) => h.hostname, show: (h) => <Link to={`/topology?host=${encodeURIComponent(h.host_id)}`}>{h.hostname}</Link> },
				{ name: 'IP', key: 'ip' },
				{ name: t('State'), text: (h) => h.state, show: (h) => <State of={h.state} /> },
				{ name: t('Pieces'), text: (h) => h.finished_pieces, show: (h) => <>{h.finished_pieces} / {task.piece_count}
					<Pieces held={h.held} most={1} label={`${h.hostname}: ${h.finished_pieces} / ${task.piece_count}`} /></> },
				{ name: t('Told to fetch from'), show: (h) => h.parents.map((p) => names.get(p) ?? p).join(', ') || '–' },
			]} />
		</Card>
	</>;
}

export function Task({ id }) {
	const data = useLoad((signal) => get(`/api/v2/tasks/${id}`, signal), [id], 2000);
	return <Page title={t('Task')}>
		<Loaded of={data}>{(task) => <>
			<Card><dl class="pairs">
				<dt>{t('Task id')}</dt><dd><span class="mono">{task.id}</span> <Copy text={task.id} label={`${t('Copy')}: ${t('Task id')}`} /></dd>
				<dt>URL</dt><dd>{task.url || '–'}</dd>
				<dt>{t('Size')}</dt><dd>{bytes(task.content_length)}, {task.piece_count} × {bytes(task.piece_length)}</dd>
				<dt>{t('Cluster')}</dt><dd>{task.scheduler_cluster_id}</dd>
				<dt>{t('State')}</dt><dd><State of={task.state} /></dd>
				<dt>{t('Updated')}</dt><dd><Time at={task.updated_at} /></dd>
			</dl></Card>
			<Holders task={task} />
		</>}</Loaded>
	</Page>;
}
