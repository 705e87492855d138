// One cluster: its ids, scopes and limits, who is in it, and how to install it.
import { useContext, useState } from 'preact/hooks';
import { all, del, get } from '../api.js';
import { go, Link } from '../route.jsx';
import { Card, Code, Confirm, Copy, Loaded, Page, State, Table, Time, useLoad } from '../ui.jsx';
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
		const [schedulers, seeds, peers] = await Promise.all([
			all('/api/v1/schedulers', { scheduler_cluster_id: cluster.scheduler_cluster_id }, signal),
			all('/api/v1/seed-peers', { seed_peer_cluster_id: cluster.seed_peer_cluster_id }, signal),
			all('/api/v1/peers', { scheduler_cluster_id: cluster.scheduler_cluster_id }, signal)]);
		return { cluster, members: [['schedulers', 'Schedulers', schedulers], ['seed-peers', 'Seed peers', seeds], ['peers', 'Peers', peers]] };
	}, [id], 5000);
	const actions = isRoot && <><Link class="button" to={`/clusters/${id}/edit`}>{t('Edit')}</Link>
		<button type="button" class="danger" onClick={() => ask(true)}>{t('Delete')}</button></>;
	return <Page title={data.value?.cluster.name ?? t('Cluster')} actions={actions}>
		<Loaded of={data}>{({ cluster, members }) => <>
			<div class="grid wide"><Facts cluster={cluster} /><Limits cluster={cluster} /></div>
			{members.map(([kind, name, rows]) => <Card key={kind} title={`${t(name)} (${rows.length})`}>
				{rows.length ? <Table caption={t(name)} columns={memberColumns(kind)} rows={rows} exportAs={`${cluster.name}-${kind}`} />
					: <p class="quiet">{t('Nothing here yet.')}</p>}
			</Card>)}
			<Install cluster={cluster} />
			{asking && <Confirm title={t('Delete')} word={cluster.name} text={t('The cluster and its scopes are removed for good.')}
				action={() => del(`/api/v1/clusters/${id}`)} onDone={() => go('/clusters')} onClose={() => ask(false)} />}
		</>}</Loaded>
	</Page>;
}
