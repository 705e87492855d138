// Schedulers, seed peers and peers: the same pattern of a list and a page for one.
import { useContext, useState } from 'preact/hooks';
import { all, count, del, get, list, post } from '../api.js';
import { useEvents } from '../live.js';
import { go, Link, setQuery } from '../route.jsx';
import { Card, Confirm, Failure, Filters, Loaded, number, Page, Pages, State, Table, Time, useAction, useLoad } from '../ui.jsx';
import { Session } from '../session.js';
import { HostNow } from './topology.jsx';
import { t } from '../text.js';

const labels = {
	host_name: 'Hostname', type: 'Type', ip: 'IP', port: 'Port', download_port: 'Download port', proxy_port: 'Proxy port', idc: 'IDC',
	location: 'Location', state: 'State', features: 'Features', os: 'Operating system', platform: 'Platform', platform_family: 'Platform family',
	platform_version: 'Platform version', kernel_version: 'Kernel', git_version: 'Version', git_commit: 'Commit', build_platform: 'Built for',
	scheduler_cluster_id: 'Scheduler cluster id', seed_peer_cluster_id: 'Seed peer cluster id', last_keep_alive_at: 'Last heard of',
	created_at: 'Created', updated_at: 'Updated',
};

const kinds = {
	schedulers: { title: 'Schedulers', cluster: 'scheduler_cluster_id',
		fields: ['host_name', 'ip', 'port', 'idc', 'location', 'state', 'features', 'scheduler_cluster_id', 'last_keep_alive_at', 'created_at', 'updated_at'] },
	'seed-peers': { title: 'Seed peers', cluster: 'seed_peer_cluster_id',
		fields: ['host_name', 'type', 'ip', 'port', 'download_port', 'idc', 'location', 'state', 'seed_peer_cluster_id', 'last_keep_alive_at', 'created_at', 'updated_at'] },
	peers: { title: 'Peers', cluster: 'scheduler_cluster_id',
		fields: ['host_name', 'type', 'ip', 'port', 'download_port', 'proxy_port', 'idc', 'location', 'state', 'os', 'platform', 'platform_family', 'platform_version', 'kernel_version', 'git_version', 'git_commit', 'build_platform', 'scheduler_cluster_id', 'created_at', 'updated_at'] },
};

function value(name, v) {
	if (name.endsWith('_at'))
		return <Time at={v} />;
	if (name === 'state')
		return <State of={v} />;
	return Array.isArray(v) ? v.join(', ') : String(v ?? '') || '–';
}

const columns = (kind) => [
	{ name: t('Hostname'), sort: 'host_name', text: (m) => m.host_name, show: (m) => <Link to={`/${kind}/${m.id}`}>{m.host_name}</Link> },
	{ name: 'IP', key: 'ip', sort: 'ip' },
	{ name: t('Port'), key: 'port' },
	{ name: 'IDC', key: 'idc', sort: 'idc' },
	{ name: t('Location'), key: 'location', sort: 'location' },
	{ name: t('Cluster'), key: kinds[kind].cluster, sort: kinds[kind].cluster },
	...(kind === 'peers' ? [{ name: t('Version'), key: 'git_version', sort: 'git_version' }] : []),
	{ name: t('State'), sort: 'state', text: (m) => m.state, show: (m) => <State of={m.state} /> },
];

// How many peers run which version, and how many of them are active.
function Versions({ peers }) {
	const counts = new Map();
	for (const p of peers) {
		const c = counts.get(p.git_version || '–') ?? { all: 0, active: 0 };
		c.all++;
		c.active += p.state === 'active';
		counts.set(p.git_version || '–', c);
	}
	return <ul class="bars">{[...counts].sort((a, b) => b[1].all - a[1].all).map(([version, c]) => <li key={version}>
		<span>{version}</span><meter min="0" max={peers.length} value={c.all} aria-label={version} />
		<span>{number(c.all)} ({number(c.active)} {t('active')})</span></li>)}</ul>;
}

// When all of them are on the page, at once; else only when somebody wants to know.
function AllVersions({ filter, rows, pages }) {
	const [peers, setPeers] = useState(null);
	const { busy, error, run } = useAction();
	const known = pages <= 1 ? rows : peers;
	return <Card title={t('Versions')} actions={pages > 1 && <button type="button" disabled={busy}
		onClick={() => run(async () => setPeers(await all('/api/v1/peers', filter)))}>{t('Count those of all peers')}</button>}>
		{error && <Failure error={error} />}
		{known && <Versions peers={known} />}
	</Card>;
}

// What schedulers know of the host now.
function Live({ member }) {
	const live = useEvents('/api/v2/topology');
	const at = live.value?.hosts.findIndex((h) => h.hostname === member.host_name && h.ip === member.ip) ?? -1;
	if (at < 0)
		return live.value && <Card title={t('Now')}><p class="quiet">{t('No scheduler knows this host now.')}</p></Card>;
	return <HostNow title={t('Now')} view={live.value} at={at}
		more={<Link to={`/topology?host=${encodeURIComponent(live.value.hosts[at].id)}`}>{t('Topology')}</Link>} />;
}

function PeersActions({ onDone }) {
	const { busy, error, run } = useAction();
	const refresh = async () => {
		await post('/api/v1/jobs', { type: 'sync_peers' });
		onDone();
	};
	return <>{error && <Failure error={error} />}
		<button type="button" onClick={() => run(refresh)} disabled={busy}>{busy ? t('Asking the schedulers…') : t('Refresh')}</button></>;
}

export function Members({ kind, query }) {
	const { title, cluster } = kinds[kind];
	const path = `/api/v1/${kind}`;
	const filter = { host_name: query.host_name, ip: query.ip, state: query.state, [cluster]: query[cluster] };
	const data = useLoad(async (signal) => {
		const [page, total] = await Promise.all([list(path, { ...filter, sort: query.sort, page: query.page, per_page: 50 }, signal), count(path, filter, signal)]);
		return { ...page, total };
	}, [...Object.values(filter), query.sort, query.page], 5000);
	return <Page title={t(title)} actions={kind === 'peers' && <PeersActions onDone={data.reload} />}>
		<Filters query={query} of={[['host_name', t('Hostname'), , t('A * at the end: all that begin so.')], ['ip', 'IP'], [cluster, t('Cluster')],
			['state', t('State'), [['active', t('active')], ['inactive', t('inactive')]]]]} />
		<Loaded of={data} empty={(d) => d.rows.length === 0}>{({ rows, pages, total }) => <>
			{kind === 'peers' && <AllVersions key={JSON.stringify(filter)} filter={filter} rows={rows} pages={pages} />}
			<Card><Table caption={t(title)} columns={columns(kind)} rows={rows} exportAs={kind} everything={() => all(path, filter)}
				sort={query.sort} onSort={(sort) => setQuery({ sort, page: '' })} /></Card>
			<Pages page={query.page} pages={pages} total={total} />
		</>}</Loaded>
	</Page>;
}

export function Member({ kind, id }) {
	const { isRoot } = useContext(Session);
	const { title, fields } = kinds[kind];
	const [asking, ask] = useState(false);
	const data = useLoad((signal) => get(`/api/v1/${kind}/${id}`, signal), [kind, id], 5000);
	return <Page title={data.value?.host_name ?? t(title)}
		actions={isRoot && <button type="button" class="danger" onClick={() => ask(true)}>{t('Delete')}</button>}>
		<Loaded of={data}>{(m) => <>
			{kind !== 'schedulers' && <Live member={m} />}
			<Card><dl class="pairs">{fields.map((f) => <><dt>{t(labels[f])}</dt><dd>{value(f, m[f])}</dd></>)}</dl></Card>
			{asking && <Confirm title={t('Delete')} name={m.host_name} text={t('It comes back when it announces itself again.')}
				action={() => del(`/api/v1/${kind}/${id}`)} onDone={() => go(`/${kind}`)} onClose={() => ask(false)} />}
		</>}</Loaded>
	</Page>;
}
