// Schedulers, seed peers and peers: the same pattern of a list and a page for one.
import { useContext, useState } from 'preact/hooks';
import { all, del, get, list, post } from '../api.js';
import { useEvents } from '../live.js';
import { go, Link } from '../route.jsx';
import { Card, Confirm, Failure, Filters, Loaded, Page, Pages, State, Table, Time, useLoad } from '../ui.jsx';
import { Session } from '../session.js';
import { Flows, HostFacts } from './topology.jsx';
import { t } from '../text.js';

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
	{ name: t('Hostname'), text: (m) => m.host_name, show: (m) => <Link to={`/${kind}/${m.id}`}>{m.host_name}</Link> },
	{ name: 'IP', key: 'ip' },
	{ name: t('Port'), key: 'port' },
	{ name: 'IDC', key: 'idc' },
	{ name: t('Location'), key: 'location' },
	{ name: t('Cluster'), key: kinds[kind].cluster },
	...(kind === 'peers' ? [{ name: t('Version'), key: 'git_version' }] : []),
	{ name: t('State'), text: (m) => m.state, show: (m) => <State of={m.state} /> },
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
		<span>{c.all} ({c.active} {t('active')})</span></li>)}</ul>;
}

// All of them, so not as often as the page.
function AllVersions({ filter }) {
	const peers = useLoad((signal) => all('/api/v1/peers', filter, signal), Object.values(filter), 60000);
	return peers.value?.length > 0 && <Card title={t('Versions')}><Versions peers={peers.value} /></Card>;
}

// What schedulers know of the host now.
function Live({ member }) {
	const live = useEvents('/api/v2/topology');
	const at = live.value?.hosts.findIndex((h) => h.hostname === member.host_name && h.ip === member.ip) ?? -1;
	if (at < 0)
		return live.value && <Card title={t('Now')}><p class="quiet">{t('No scheduler knows this host now.')}</p></Card>;
	const { hosts, flows } = live.value;
	return <div class="columns">
		<Card title={t('Now')} actions={<Link to={`/topology?host=${encodeURIComponent(hosts[at].id)}`}>{t('Topology')}</Link>}><HostFacts host={hosts[at]} /></Card>
		<Flows title={t('Is fed by')} view={live.value} flows={flows.filter((f) => f.child === at)} />
		<Flows title={t('Feeds')} view={live.value} flows={flows.filter((f) => f.parent === at)} />
	</div>;
}

function PeersActions({ onDone }) {
	const [error, setError] = useState(null);
	const [busy, setBusy] = useState(false);
	const run = async () => {
		setBusy(true);
		setError(null);
		try {
			await post('/api/v1/jobs', { type: 'sync_peers' });
			onDone();
		} catch (failure) {
			setError(failure);
		}
		setBusy(false);
	};
	return <>{error && <Failure error={error} />}<button type="button" onClick={run} disabled={busy}>{busy ? t('Asking the schedulers…') : t('Refresh')}</button></>;
}

export function Members({ kind, query }) {
	const { title, cluster } = kinds[kind];
	const path = `/api/v1/${kind}`;
	const filter = { host_name: query.host_name, ip: query.ip, state: query.state, [cluster]: query[cluster] };
	const data = useLoad((signal) => list(path, { ...filter, page: query.page, per_page: 50 }, signal),
		[kind, ...Object.values(filter), query.page], 5000);
	return <Page title={t(title)} actions={kind === 'peers' && <PeersActions onDone={data.reload} />}>
		<Filters query={query} of={[['host_name', t('Hostname')], ['ip', 'IP'], [cluster, t('Cluster')],
			['state', t('State'), [['active', t('active')], ['inactive', t('inactive')]]]]} />
		<Loaded of={data} empty={(d) => d.rows.length === 0}>{({ rows, pages }) => <>
			{kind === 'peers' && <AllVersions filter={filter} />}
			<Card><Table caption={t(title)} columns={columns(kind)} rows={rows} exportAs={kind} everything={() => all(path, filter)} /></Card>
			<Pages page={query.page} pages={pages} />
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
			<Card><dl class="pairs">{fields.map((f) => <><dt>{t(f)}</dt><dd>{value(f, m[f])}</dd></>)}</dl></Card>
			{asking && <Confirm title={t('Delete')} text={t('It comes back when it announces itself again.')}
				action={() => del(`/api/v1/${kind}/${id}`)} onDone={() => go(`/${kind}`)} onClose={() => ask(false)} />}
		</>}</Loaded>
	</Page>;
}
