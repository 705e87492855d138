// One cluster: its ids, scopes and limits, who is in it, and how to install it.
import { useContext, useState } from 'preact/hooks';
import { count, del, get, list } from '../api.js';
import { go, Link } from '../route.jsx';
import { Card, Code, Confirm, Copy, Loaded, number, Page, State, Table, Time, useLoad } from '../ui.jsx';
import { clusterCommands, clusterValues } from '../helm_values.js';
import { Session } from '../session.js';
import { ScopesSummary } from './clusters.jsx';
import { t } from '../text.js';

function Facts({ cluster: c }) {
	const id = (name, value) => <><dt>{name}</dt><dd>{value} <Copy text={String(value)} label={`${t('Copy')}: ${name}`} /></dd></>;
	return <Card title={t('Cluster')} actions={c.is_default && <span class="chip default">{t('Default')}</span>}>
		<p class="quiet">{c.bio}</p>
		<dl class="pairs">
			{id(t('Scheduler cluster id'), c.scheduler_cluster_id)}
			{id(t('Seed peer cluster id'), c.seed_peer_cluster_id)}
			<dt>{t('Created')}</dt><dd><Time at={c.created_at} /></dd>
			<dt>{t('Updated')}</dt><dd><Time at={c.updated_at} /></dd>
		</dl>
		<h3>{t('Scopes')}</h3>
		<ScopesSummary scopes={c.scopes} />
	</Card>;
}

function Limits({ cluster: c }) {
	const rows = [
		['Seed peer load limit', c.seed_peer_cluster_config?.load_limit],
		['Peer load limit', c.peer_cluster_config?.load_limit],
		['Candidate parent limit', c.scheduler_cluster_config?.candidate_parent_limit],
		['Filter parent limit', c.scheduler_cluster_config?.filter_parent_limit],
		['Job rate limit', c.scheduler_cluster_config?.job_rate_limit],
	];
	const blocks = [['Client', c.peer_cluster_config?.block_list], ['Seed client', c.seed_peer_cluster_config?.block_list]]
		.filter(([, list]) => list && Object.keys(list).length);
	return <Card title={t('Limits')}>
		<dl class="pairs">{rows.map(([name, value]) => <><dt>{t(name)}</dt><dd>{value ?? '–'}</dd></>)}</dl>
		{blocks.map(([name, list]) => <Code key={name} title={`${t('Block lists')}: ${t(name)}`} text={JSON.stringify(list, null, 2)} />)}
	</Card>;
}

const few = 10;

// The first of them, and how many there are: a cluster may have 10,000 peers.
async function membersOf(kind, filter, signal) {
	const [{ rows }, total] = await Promise.all([list(`/api/v1/${kind}`, { ...filter, per_page: few }, signal), count(`/api/v1/${kind}`, filter, signal)]);
	return { rows, total, all: `/${kind}?${new URLSearchParams(filter)}` };
}

function Members({ kind, name, of: { rows, total, all } }) {
	return <Card title={`${name} (${number(total)})`} actions={total > 0 && <Link to={all}>{t('All of them')}</Link>}>
		{total > 0 ? <Table caption={name} columns={memberColumns(kind)} rows={rows} /> : <p class="quiet">{t('Nothing here yet.')}</p>}
	</Card>;
}

const memberColumns = (kind) => [
	{ name: t('Hostname'), text: (m) => m.host_name, show: (m) => <Link to={`/${kind}/${m.id}`}>{m.host_name}</Link> },
	{ name: 'IP', key: 'ip' },
	{ name: t('Port'), key: 'port' },
	{ name: t('State'), text: (m) => m.state, show: (m) => <State of={m.state} /> },
];

function Install({ cluster }) {
	const manager = useLoad((signal) => get('/api/v2/manager', signal), []);
	const place = { host: location.hostname, restPort: location.port || (location.protocol === 'https:' ? 443 : 80) };
	return <Card title={t('Install this cluster')}>
		<p>{t('Save the values, then run the commands where kubectl reaches the cluster.')}</p>
		<Loaded of={manager}>{(m) => <Code title={t('Helm values')} text={clusterValues(cluster, { ...place, grpcPort: m.grpc_port })} />}</Loaded>
		<Code title={t('Commands')} text={clusterCommands(cluster)} />
	</Card>;
}

export function Cluster({ id }) {
	const { isRoot } = useContext(Session);
	const [asking, ask] = useState(false);
	const data = useLoad(async (signal) => {
		const cluster = await get(`/api/v1/clusters/${id}`, signal);
		const ofSchedulers = { scheduler_cluster_id: cluster.scheduler_cluster_id };
		const [schedulers, seeds, peers] = await Promise.all([membersOf('schedulers', ofSchedulers, signal),
			membersOf('seed-peers', { seed_peer_cluster_id: cluster.seed_peer_cluster_id }, signal), membersOf('peers', ofSchedulers, signal)]);
		return { cluster, schedulers, seeds, peers };
	}, [id], 5000);
	const actions = isRoot && <><Link class="button" to={`/clusters/${id}/edit`}>{t('Edit')}</Link>
		<button type="button" class="danger" onClick={() => ask(true)}>{t('Delete')}</button></>;
	return <Page title={data.value?.cluster.name ?? t('Cluster')} actions={actions}>
		<Loaded of={data}>{({ cluster, schedulers, seeds, peers }) => <>
			<div class="columns"><Facts cluster={cluster} /><Limits cluster={cluster} /></div>
			<Members kind="schedulers" name={t('Schedulers')} of={schedulers} />
			<Members kind="seed-peers" name={t('Seed peers')} of={seeds} />
			<Members kind="peers" name={t('Peers')} of={peers} />
			<Install cluster={cluster} />
			{asking && <Confirm title={t('Delete')} name={cluster.name} word={cluster.name} text={t('The cluster and its scopes are removed for good.')}
				action={() => del(`/api/v1/clusters/${id}`)} onDone={() => go('/clusters')} onClose={() => ask(false)} />}
		</>}</Loaded>
	</Page>;
}
