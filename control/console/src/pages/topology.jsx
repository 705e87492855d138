// Who feeds whom, live: a picture, and the same as tables for those who do not look at pictures.
import { useEffect, useRef } from 'preact/hooks';
import { useEvents } from '../live.js';
import { Link, setQuery } from '../route.jsx';
import { bytes, Card, Loaded, Page, rate, Select, Table, useColours } from '../ui.jsx';
import { TopologyView } from '../topology_view.js';
import { t } from '../text.js';

function only(view, cluster) {
	if (!cluster)
		return view;
	const places = new Map();
	const hosts = view.hosts.filter((h, i) => String(h.scheduler_cluster_id) === cluster && places.set(i, places.size));
	const flows = view.flows.filter((f) => places.has(f.parent) && places.has(f.child))
		.map((f) => ({ ...f, parent: places.get(f.parent), child: places.get(f.child) }));
	return { ...view, hosts, flows };
}

function Picture({ view, picked }) {
	const canvas = useRef(), drawing = useRef();
	useEffect(() => {
		drawing.current = new TopologyView(canvas.current, (id) => setQuery({ host: id ?? '' }));
		return () => drawing.current.close();
	}, []);
	const colours = useColours();
	useEffect(() => drawing.current.show(view, picked), [view, picked, colours]);
	const busy = view.flows.filter((f) => f.bytes_per_second > 0).length;
	return <div class="topology">
		<canvas ref={canvas} tabIndex={0} role="img"
			aria-label={`${t('Topology')}: ${view.hosts.length} ${t('hosts')}, ${busy} / ${view.flows.length} ${t('flows')}`} />
		<div class="toolbar">
			<button type="button" class="small" aria-label={t('Larger')} onClick={() => drawing.current.zoom(1.25)}>+</button>
			<button type="button" class="small" aria-label={t('Smaller')} onClick={() => drawing.current.zoom(0.8)}>−</button>
			<button type="button" class="small" onClick={() => drawing.current.fit()}>{t('All of it')}</button>
		</div>
		<ul class="legend">
			<li class="key seed">{t('Seed peer')}</li><li class="key busy">{t('feeds or is fed')}</li>
			<li class="key">{t('idle')}</li><li class="key origin">{t('reads the origin now')}</li>
		</ul>
	</div>;
}

const flowRows = (view, flows) => flows.map((f) => ({ id: `${f.parent}-${f.child}`, ...f, from: view.hosts[f.parent], to: view.hosts[f.child] }))
	.sort((a, b) => b.bytes_per_second - a.bytes_per_second || b.bytes - a.bytes).slice(0, 20);

const pick = (h) => <Link to={`/topology?host=${encodeURIComponent(h.id)}`}>{h.hostname}</Link>;

// Of one host, whose own name is not said again: side, 'from' or 'to', is who is on the other end.
function Flows({ title, view, flows, side }) {
	const ends = [['from', t('From')], ['to', t('To')]].filter(([end]) => !side || end === side)
		.map(([end, name]) => ({ name, text: (f) => f[end].hostname, show: (f) => pick(f[end]) }));
	return <Card title={`${title} (${flows.length})`}>{flows.length === 0 ? <p class="quiet">{t('Nobody, in the last minute.')}</p>
		: <Table caption={title} rows={flowRows(view, flows)} columns={[
			...ends,
			{ name: t('Now'), text: (f) => f.bytes_per_second, show: (f) => rate(f.bytes_per_second) },
			{ name: t('Since it began'), text: (f) => f.bytes, show: (f) => bytes(f.bytes) },
		]} />}</Card>;
}

function HostFacts({ host: h }) {
	return <dl class="pairs">
		<dt>IP</dt><dd>{h.ip}</dd><dt>IDC</dt><dd>{h.idc || '–'}</dd><dt>{t('Location')}</dt><dd>{h.location || '–'}</dd>
		<dt>{t('Cluster')}</dt><dd>{h.scheduler_cluster_id}</dd>
		<dt>{t('Tasks')}</dt><dd>{h.downloads} ({h.running} {t('running')})</dd>
		<dt>{t('From hosts')}</dt><dd>{rate(h.received.bytes_per_second)} · {bytes(h.received.bytes)}</dd>
		<dt>{t('From the origin')}</dt><dd>{rate(h.from_origin.bytes_per_second)} · {bytes(h.from_origin.bytes)}</dd>
		<dt>{t('Sent')}</dt><dd>{rate(h.sent.bytes_per_second)} · {bytes(h.sent.bytes)}</dd>
	</dl>;
}

// What one host does now; more: a link beside its title.
export function HostNow({ title, view, at, more }) {
	return <div class="columns">
		<Card title={title} actions={more}><HostFacts host={view.hosts[at]} /></Card>
		<Flows title={t('Is fed by')} side="from" view={view} flows={view.flows.filter((f) => f.child === at)} />
		<Flows title={t('Feeds')} side="to" view={view} flows={view.flows.filter((f) => f.parent === at)} />
	</div>;
}

export function Topology({ query }) {
	const live = useEvents('/api/v2/topology');
	return <Page title={t('Topology')}>
		<Loaded of={live}>{(all) => {
			const clusters = [...new Set(all.hosts.map((h) => h.scheduler_cluster_id))].sort((a, b) => a - b);
			const view = only(all, query.cluster), at = view.hosts.findIndex((h) => h.id === query.host);
			const host = view.hosts[at];
			return <>
				<form class="filters" role="search" onSubmit={(e) => e.preventDefault()}>
					<Select label={t('Cluster')} value={query.cluster ?? ''} options={[['', t('All')], ...clusters.map((c) => [String(c), String(c)])]}
						onChange={(e) => setQuery({ cluster: e.target.value, host: '' })} />
					<Select label={t('Host')} value={query.host ?? ''} options={[['', '–'], ...view.hosts.map((h) => [h.id, h.hostname])]}
						onChange={(e) => setQuery({ host: e.target.value })} />
				</form>
				<Card><Picture view={view} picked={query.host} />
					{all.known_hosts > all.hosts.length && <p class="quiet">{all.hosts.length} / {all.known_hosts} {t('hosts')}</p>}</Card>
				{host ? <HostNow title={host.hostname} view={view} at={at}
					more={<Link to={`/peers?host_name=${encodeURIComponent(host.hostname)}`}>{t('Peers')}</Link>} /> : <Flows title={t('Busiest')} view={view} flows={view.flows} />}
			</>;
		}}</Loaded>
	</Page>;
}
