// Which peers hold a task, and taking it away from them.
import { useState } from 'preact/hooks';
import { get, list, post } from '../api.js';
import { useEvents } from '../live.js';
import { Link } from '../route.jsx';
import { bytes, Card, Confirm, Failure, Field, Filters, Loaded, Page, Pages, State, Table, Time, useForm, useLoad } from '../ui.jsx';
import { jobColumns, jobStates } from './preheats.jsx';
import { t } from '../text.js';

function selectorOf(v) {
	if (v.task_id.trim())
		return { task_id: v.task_id.trim() };
	const args = { url: v.url.trim() };
	for (const key of ['tag', 'application', 'filtered_query_params'])
		if (v[key])
			args[key] = v[key];
	if (v.piece_length)
		args.piece_length = Number(v.piece_length) << 20;
	return args;
}

const isOver = (job) => ['SUCCESS', 'FAILURE'].includes(job.state);

function Found({ id, selector }) {
	const [asking, ask] = useState(false);
	const [deleted, setDeleted] = useState(false);
	const job = useLoad((signal) => get(`/api/v1/jobs/${id}`, signal), [id], 1000);
	return <Loaded of={job}>{(j) => {
		const peers = (j.result?.job_states ?? []).flatMap((s) => s.results ?? []).flatMap((r) => r.peers ?? []);
		if (!isOver(j))
			return <p class="quiet" role="status">{t('Asking the schedulers…')}</p>;
		return <Card title={`${t('Peers that hold it')} (${peers.length})`}
			actions={peers.length > 0 && <button type="button" class="danger" onClick={() => ask(true)}>{t('Delete from peers')}</button>}>
			{deleted && <p class="good" role="status">{t('The deletion is under way:')} <Link to="/tasks/executions">{t('Executions')}</Link></p>}
			{peers.length === 0 ? <p class="quiet">{t('No peer of these clusters holds it.')}</p>
				: <Table caption={t('Peers that hold it')} rows={peers.map((p, i) => ({ ...p, id: i }))} columns={[
					{ name: t('Hostname'), key: 'hostname' }, { name: 'IP', key: 'ip' }, { name: t('Type'), key: 'host_type' },
					{ name: t('Created'), show: (p) => <Time at={p.created_at} /> }]} />}
			{asking && <Confirm title={t('Delete')} name={selector.url ?? selector.task_id} word="DELETE" text={t('The task is deleted from all these peers.')}
				action={() => post('/api/v1/jobs', { type: 'delete_task', args: selector })}
				onDone={() => { ask(false); setDeleted(true); }} onClose={() => ask(false)} />}
		</Card>;
	}}</Loaded>;
}

function Now() {
	const live = useEvents('/api/v2/tasks');
	return <Loaded of={live}>{({ tasks, known_tasks: known }) => <Card title={`${t('Tasks that schedulers know')} (${known})`}>
		{tasks.length === 0 ? <p class="quiet">{t('Nothing here yet.')}</p> : <Table caption={t('Tasks that schedulers know')} exportAs="tasks"
			rows={tasks} columns={[
				{ name: t('Task id'), text: (k) => k.id, show: (k) => <Link class="mono" to={`/tasks/${k.id}`}>{k.id.slice(0, 12)}…</Link> },
				{ name: 'URL', key: 'url', wide: true },
				{ name: t('Size'), text: (k) => k.content_length, show: (k) => bytes(k.content_length) },
				{ name: t('State'), text: (k) => k.state, show: (k) => <State of={k.state} /> },
				{ name: t('Peers'), text: (k) => k.peers, show: (k) => `${k.finished} / ${k.peers}` },
				{ name: t('running'), key: 'running' },
				{ name: t('Updated'), text: (k) => k.updated_at, show: (k) => <Time at={k.updated_at} /> },
			]} />}
	</Card>}</Loaded>;
}

export function Tasks() {
	const [found, setFound] = useState(null);
	const form = useForm({ task_id: '', url: '', tag: '', application: '', filtered_query_params: '', piece_length: '' }, (v) => ({
		task_id: v.task_id && !/^[0-9a-f]{64}$/.test(v.task_id.trim()) ? t('64 hexadecimal digits') : '',
		url: !v.task_id && !/^https?:\/\/./.test(v.url) ? t('A URL or a task id') : '',
		piece_length: !v.piece_length || (v.piece_length >= 4 && v.piece_length <= 64) ? '' : '4 – 64 MiB',
	}), async (v) => {
		const selector = selectorOf(v);
		const job = await post('/api/v1/jobs', { type: 'get_task', args: selector });
		setFound({ id: job.id, selector });
	});
	return <Page title={t('Tasks')} actions={<Link class="button" to="/tasks/executions">{t('Executions')}</Link>}>
		<Card title={t('Find a task')}><form onSubmit={form.submit} noValidate class="columns">
			<Field label={t('Task id')} {...form.bind('task_id')} />
			<Field label="URL" {...form.bind('url')} />
			<Field label={t('Tag')} {...form.bind('tag')} />
			<Field label={t('Application')} {...form.bind('application')} />
			<Field label={t('Filtered query params')} {...form.bind('filtered_query_params')} />
			<Field label={t('Piece length in MiB')} inputMode="numeric" {...form.bind('piece_length')} />
			<div class="formend">{form.failure && <Failure error={form.failure} />}
				<div class="actions"><button class="primary" disabled={form.busy}>{t('Find')}</button></div></div>
		</form></Card>
		{found && <Found key={found.id} {...found} />}
		<Now />
	</Page>;
}

export function Executions({ query }) {
	const data = useLoad((signal) => list('/api/v1/jobs', { type: 'delete_task', state: query.state, page: query.page, per_page: 25 }, signal),
		[query.state, query.page], 2000);
	return <Page title={t('Executions')}>
		<Filters query={query} of={[['state', t('State'), jobStates.map((s) => [s, t(s)])]]} />
		<Loaded of={data} empty={(d) => d.rows.length === 0}>{({ rows, pages }) => <>
			<Card><Table caption={t('Executions')} rows={rows} columns={jobColumns('/tasks/executions')} exportAs="executions" /></Card>
			<Pages page={query.page} pages={pages} />
		</>}</Loaded>
	</Page>;
}
