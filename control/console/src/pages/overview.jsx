// One glance: what there is, and what does not answer.
import { all } from '../api.js';
import { Link } from '../route.jsx';
import { Card, Loaded, Page, State, Table, Time, useLoad } from '../ui.jsx';
import { t } from '../text.js';

function Count({ name, to, rows }) {
	const active = rows.filter((r) => r.state === 'active').length;
	const share = rows.length ? Math.round((100 * active) / rows.length) : 0;
	return <Card class="count">
		<Link to={to}>{name}</Link>
		<strong>{rows.length}</strong>
		{'state' in (rows[0] ?? {}) && <>
			<meter min="0" max="100" low="50" high="99" optimum="100" value={share} aria-label={`${name}: ${t('active')}`} />
			<span>{active} {t('active')}</span>
		</>}
	</Card>;
}

// A seed peer is known by its own row, or as a peer of its kind.
function hasSeed(c, { seeds, peers }) {
	return seeds.some((s) => s.seed_peer_cluster_id === c.seed_peer_cluster_id && s.state === 'active')
		|| peers.some((p) => p.scheduler_cluster_id === c.scheduler_cluster_id && p.type !== 'normal' && p.state === 'active');
}

function checks(fleet) {
	const { clusters, schedulers } = fleet;
	const out = [];
	for (const c of clusters) {
		const own = schedulers.filter((s) => s.scheduler_cluster_id === c.scheduler_cluster_id);
		if (!own.some((s) => s.state === 'active'))
			out.push({ id: `s${c.id}`, cluster: c, what: t('No scheduler is active: its peers go to the origin.') });
		if (!hasSeed(c, fleet))
			out.push({ id: `p${c.id}`, cluster: c, what: t('No seed peer is known: the first peers ask the origin themselves.') });
	}
	return out;
}

export function Overview() {
	const fleet = useLoad(async (signal) => {
		const [clusters, schedulers, seeds, peers] = await Promise.all(['clusters', 'schedulers', 'seed-peers', 'peers']
			.map((name) => all(`/api/v1/${name}`, {}, signal)));
		return { clusters, schedulers, seeds, peers };
	}, [], 5000);
	return <Page title={t('Overview')}>
		<Loaded of={fleet}>{(f) => {
			const failing = checks(f);
			const gone = [...f.schedulers.map((s) => ['schedulers', s]), ...f.seeds.map((s) => ['seed-peers', s])]
				.filter(([, s]) => s.state !== 'active');
			return <>
				<div class="grid">
					<Count name={t('Clusters')} to="/clusters" rows={f.clusters} />
					<Count name={t('Schedulers')} to="/schedulers" rows={f.schedulers} />
					<Count name={t('Seed peers')} to="/seed-peers" rows={f.seeds} />
					<Count name={t('Peers')} to="/peers" rows={f.peers} />
				</div>
				<Card title={t('Failing checks')}>
					{failing.length === 0 ? <p class="good">{t('Every cluster has a scheduler and a seed peer.')}</p>
						: <ul class="checks">{failing.map((c) => <li key={c.id}>
							<Link to={`/clusters/${c.cluster.id}`}>{c.cluster.name}</Link> {c.what}</li>)}</ul>}
				</Card>
				{gone.length > 0 && <Card title={t('Not heard of')}>
					<Table caption={t('Not heard of')} rows={gone.map(([kind, s]) => ({ ...s, kind }))} columns={[
						{ name: t('Hostname'), show: (s) => <Link to={`/${s.kind}/${s.id}`}>{s.host_name}</Link> },
						{ name: 'IP', key: 'ip' },
						{ name: t('State'), show: (s) => <State of={s.state} /> },
						{ name: t('Updated'), show: (s) => <Time at={s.updated_at} /> },
					]} />
				</Card>}
			</>;
		}}</Loaded>
	</Page>;
}
