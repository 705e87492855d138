import { all, list } from '../api.js';
import { setQuery } from '../route.jsx';
import { Card, Filters, Loaded, Page, Pages, State, Table, Time, useLoad } from '../ui.jsx';
import { t } from '../text.js';

export function Audit({ query }) {
	const filter = { actor_name: query.actor_name, actor_type: query.actor_type, path: query.path, state: query.state, status_code: query.status_code };
	const data = useLoad((signal) => list('/api/v1/audits', { ...filter, sort: query.sort, page: query.page, per_page: 50 }, signal),
		[...Object.values(filter), query.sort, query.page]);
	return <Page title={t('Audit')} actions={<button type="button" onClick={data.reload}>{t('Refresh')}</button>}>
		<Filters query={query} of={[['actor_name', t('Who')], ['path', t('Path')], ['status_code', t('Status')],
			['actor_type', t('Actor'), ['USER', 'PAT', 'UNKNOWN'].map((s) => [s, s])],
			['state', t('State'), ['SUCCESS', 'FAILURE'].map((s) => [s, t(s)])]]} />
		<Loaded of={data} empty={(d) => d.rows.length === 0}>{({ rows, pages }) => <>
			<Card><Table caption={t('Audit')} rows={rows} exportAs="audit" everything={() => all('/api/v1/audits', filter)} sort={query.sort}
				onSort={(sort) => setQuery({ sort, page: '' })} columns={[
				{ name: t('When'), text: (a) => a.operated_at, show: (a) => <Time at={a.operated_at ?? a.created_at} /> },
				{ name: t('Actor'), key: 'actor_type', sort: 'actor_type' }, { name: t('Who'), key: 'actor_name', sort: 'actor_name' },
				{ name: t('Operation'), key: 'operation', sort: 'operation' }, { name: t('Path'), key: 'path', wide: true, sort: 'path' }, { name: t('Status'), key: 'status_code', sort: 'status_code' },
				{ name: t('State'), text: (a) => a.state, show: (a) => <State of={a.state} /> }]} /></Card>
			<Pages page={query.page} pages={pages} />
		</>}</Loaded>
	</Page>;
}
