// One glance: what was delivered and what the origin was spared, what there is, and what does not answer.
import { list } from '../api.js';
import { useEvents, useHistory } from '../live.js';
import { Link } from '../route.jsx';
import { bytes, Card, Loaded, number, Page, rate, Spark, State, Table, Time, useLoad } from '../ui.jsx';
import { t } from '../text.js';

function Count({ name, to, all, active }) {
	const share = all ? Math.round((100 * active) / all) : 0;
	return <Card class="count">
		<Link to={to}>{name}</Link>
		<strong>{number(all)}</strong>
		{active !== undefined && all > 0 && <>
			<meter min="0" max="100" low="50" high="99" optimum="100" value={share} aria-label={`${name}: ${t('active')}`} />
			<span>{number(active)} {t('active')}</span>
		</>}
	</Card>;
}

function Amount({ name, value, now, history }) {
	return <Card class="count"><span>{name}</span><strong>{bytes(value)}</strong>
		{now !== undefined && <span>{bytes(now)}/s {t('now')}</span>}
		{history && <Spark values={history} label={`${name}: ${t('the last minute')}`} />}</Card>;
}

function Sources({ traffic: { to_nodes: of, delivered } }) {
	const rows = [['busy', t('other nodes'), of.nodes], ['seed', t('seed peers'), of.seeds], ['origin', t('the origin'), of.origin]];
	const percent = (n) => (delivered.bytes ? (100 * n) / delivered.bytes : 0);
	return <Card title={t('Where nodes got it from')}>
		<div class="share" role="img" aria-label={rows.map(([, name, m]) => `${name} ${Math.round(percent(m.bytes))} %`).join(', ')}>
			{rows.map(([kind, , m]) => <span key={kind} class={kind} style={{ width: `${percent(m.bytes)}%` }} />)}</div>
		<Table caption={t('Where nodes got it from')} rows={rows.map(([id, name, m]) => ({ id, name, ...m }))} columns={[
			{ name: t('From'), show: (r) => <span class={`key ${r.id}`}>{r.name}</span> },
			{ name: t('Bytes'), show: (r) => bytes(r.bytes) }, { name: '%', show: (r) => `${percent(r.bytes).toFixed(1)} %` },
			{ name: t('Now'), show: (r) => rate(r.bytes_per_second) }]} />
	</Card>;
}

function Traffic({ live, at }) {
	const { traffic, swarm } = live;
	const delivered = useHistory(traffic.delivered.bytes_per_second, at);
	const origin = useHistory(traffic.from_origin.bytes_per_second, at);
	return <>
		<div class="grid">
			<Amount name={t('Delivered to nodes')} value={traffic.delivered.bytes} now={traffic.delivered.bytes_per_second} history={delivered} />
			<Amount name={t('Read from the origin')} value={traffic.from_origin.bytes} now={traffic.from_origin.bytes_per_second} history={origin} />
			<Amount name={t('The origin was spared')} value={traffic.saved_bytes} />
			<Card class="count"><Link to="/tasks">{t('Tasks')}</Link><strong>{number(swarm.tasks)}</strong>
				<span>{number(swarm.running)} {t('downloads are running')}</span></Card>
		</div>
		<Sources traffic={traffic} />
		<p class="quiet">{traffic.since ? <>{t('As peers reported it to the schedulers, since')} <Time at={traffic.since} /></> : t('No scheduler answers, so nothing is known of bytes.')}</p>
	</>;
}

const lacks = {
	scheduler: 'No scheduler is active: its peers go to the origin.',
	seed_peer: 'No seed peer is known: the first peers ask the origin themselves.',
};

function Checks({ live: { checks, silent } }) {
	const clusters = useLoad((signal) => list('/api/v1/clusters', { per_page: 1000 }, signal), [checks.length]);
	const pageOf = (id) => clusters.value?.rows.find((c) => c.scheduler_cluster_id === id)?.id;
	return <Card title={t('Failing checks')}>
		{checks.length + silent.length === 0 && <p class="good">{t('Every cluster has a scheduler and a seed peer.')}</p>}
		<ul class="checks">
			{checks.map((c) => <li key={`${c.scheduler_cluster_id}${c.missing}`}>
				{pageOf(c.scheduler_cluster_id) ? <Link to={`/clusters/${pageOf(c.scheduler_cluster_id)}`}>{c.name}</Link> : c.name} {t(lacks[c.missing])}</li>)}
			{silent.map((s) => <li key={s.scheduler}>{s.scheduler}: {t('does not answer what goes on in its cluster.')} <span class="quiet">{s.why}</span></li>)}
		</ul>
	</Card>;
}

function Gone() {
	const gone = useLoad(async (signal) => (await Promise.all(['schedulers', 'seed-peers'].map(async (kind) =>
		(await list(`/api/v1/${kind}`, { state: 'inactive', per_page: 50 }, signal)).rows.map((s) => ({ ...s, kind }))))).flat(), [], 10000);
	return gone.value?.length > 0 && <Card title={t('Not heard of')}>
		<Table caption={t('Not heard of')} rows={gone.value} columns={[
			{ name: t('Hostname'), text: (s) => s.host_name, show: (s) => <Link to={`/${s.kind}/${s.id}`}>{s.host_name}</Link> },
			{ name: 'IP', key: 'ip' },
			{ name: t('State'), text: (s) => s.state, show: (s) => <State of={s.state} /> },
			{ name: t('Updated'), text: (s) => s.updated_at, show: (s) => <Time at={s.updated_at} /> },
		]} />
	</Card>;
}

export function Overview() {
	const live = useEvents('/api/v2/overview');
	return <Page title={t('Overview')}>
		<Loaded of={live}>{(v) => <>
			<Traffic live={v} at={live.at} />
			<div class="grid">
				<Count name={t('Clusters')} to="/clusters" all={v.clusters} />
				<Count name={t('Schedulers')} to="/schedulers" {...v.schedulers} />
				<Count name={t('Seed peers')} to="/seed-peers" {...v.seed_peers} />
				<Count name={t('Peers')} to="/peers" {...v.peers} />
			</div>
			<Checks live={v} />
			<Gone />
		</>}</Loaded>
	</Page>;
}
