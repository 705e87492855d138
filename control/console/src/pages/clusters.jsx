import { useContext } from 'preact/hooks';
import { all, list } from '../api.js';
import { Link } from '../route.jsx';
import { Card, Empty, Filters, Loaded, Page, Pages, useLoad } from '../ui.jsx';
import { Session } from '../session.js';
import { t } from '../text.js';

export function ScopesSummary({ scopes = {} }) {
	const parts = [
		...(scopes.cidrs ?? []),
		...(scopes.idc ? scopes.idc.split('|').map((i) => `IDC ${i}`) : []),
		...(scopes.location ? [scopes.location] : []),
		...(scopes.hostnames ?? []).map((h) => `/${h}/`),
	];
	return <p class="chips">{parts.length ? parts.map((p) => <span key={p} class="chip">{p}</span>)
		: <span class="quiet">{t('No scopes')}</span>}</p>;
}

export function Clusters({ query }) {
	const { isRoot } = useContext(Session);
	const data = useLoad(async (signal) => {
		const [page, schedulers, seeds] = await Promise.all([
			list('/api/v1/clusters', { name: query.name, page: query.page, per_page: 12 }, signal),
			all('/api/v1/schedulers', {}, signal), all('/api/v1/seed-peers', {}, signal)]);
		return { ...page, schedulers, seeds };
	}, [query.name, query.page], 5000);
	const active = (rows, key, id) => {
		const own = rows.filter((r) => r[key] === id);
		return `${own.filter((r) => r.state === 'active').length} / ${own.length}`;
	};
	return <Page title={t('Clusters')} actions={isRoot && <Link class="button primary" to="/clusters/new">{t('ADD CLUSTER')}</Link>}>
		<Filters of={[['name', t('Name')]]} query={query} />
		<Loaded of={data}>{({ rows, pages, schedulers, seeds }) => <>
			{rows.length === 0 && <Empty text={t('No cluster has this name.')} />}
			<div class="grid wide">{rows.map((c) => <Card key={c.id} title={<Link to={`/clusters/${c.id}`}>{c.name}</Link>}
				actions={c.is_default && <span class="chip default">{t('Default')}</span>}>
				<p class="quiet">{c.bio || `${t('Cluster')} ${c.id}`}</p>
				<ScopesSummary scopes={c.scopes} />
				<dl class="pairs">
					<dt>{t('Active schedulers')}</dt><dd>{active(schedulers, 'scheduler_cluster_id', c.scheduler_cluster_id)}</dd>
					<dt>{t('Active seed peers')}</dt><dd>{active(seeds, 'seed_peer_cluster_id', c.seed_peer_cluster_id)}</dd>
				</dl>
			</Card>)}</div>
			<Pages page={query.page} pages={pages} />
		</>}</Loaded>
	</Page>;
}
