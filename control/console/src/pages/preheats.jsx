// Preheats: what should be on the nodes before anybody asks for it.
import { all, get, list, post } from '../api.js';
import { go, Link } from '../route.jsx';
import { Card, Code, Failure, Field, Filters, Loaded, Page, Pages, Select, State, Table, Time, useForm, useLoad } from '../ui.jsx';
import { t } from '../text.js';

export const jobStates = ['PENDING', 'RECEIVED', 'STARTED', 'RETRY', 'SUCCESS', 'FAILURE'];

export const jobColumns = (path) => [
	{ name: 'Id', text: (j) => j.id, show: (j) => (path ? <Link to={`${path}/${j.id}`}>{j.id}</Link> : j.id) },
	{ name: t('Description'), text: (j) => j.bio, show: (j) => j.bio || j.args?.url || '–' },
	{ name: t('State'), text: (j) => j.state, show: (j) => <State of={j.state} /> },
	{ name: t('Created'), text: (j) => j.created_at, show: (j) => <Time at={j.created_at} /> },
	{ name: t('Updated'), text: (j) => j.updated_at, show: (j) => <Time at={j.updated_at} /> },
];

export function Preheats({ query }) {
	const data = useLoad((signal) => list('/api/v1/jobs', { type: 'preheat', state: query.state, page: query.page, per_page: 25 }, signal),
		[query.state, query.page], 2000);
	return <Page title={t('Preheat')} actions={<Link class="button primary" to="/jobs/preheats/new">{t('New preheat')}</Link>}>
		<Filters query={query} of={[['state', t('State'), jobStates.map((s) => [s, t(s)])]]} />
		<Loaded of={data} empty={(d) => d.rows.length === 0}>{({ rows, pages }) => <>
			<Card><Table caption={t('Preheat')} rows={rows} columns={jobColumns('/jobs/preheats')} exportAs="preheats" /></Card>
			<Pages page={query.page} pages={pages} />
		</>}</Loaded>
	</Page>;
}

const running = (job) => !['SUCCESS', 'FAILURE'].includes(job.state);

function Results({ job }) {
	const results = (job.result?.job_states ?? []).flatMap((s) => (Array.isArray(s.results) ? s.results : []));
	const rows = results.flatMap((r) => [
		...(r.success_tasks ?? []).map((task) => ({ ...task, ok: true })),
		...(r.failure_tasks ?? []).map((task) => ({ ...task, ok: false }))])
		.map((row, i) => ({ ...row, id: i }));
	const errors = (job.result?.job_states ?? []).filter((s) => s.error);
	return <>
		{errors.map((s) => <div key={s.task_uuid} class="fault" role="alert"><strong>{t(s.state)}</strong><p>{s.error}</p></div>)}
		{rows.length > 0 ? <Card title={t('Nodes')}><Table caption={t('Nodes')} exportAs={`preheat-${job.id}`} rows={rows} columns={[
			{ name: t('State'), text: (r) => r.ok, show: (r) => <State of={r.ok ? 'SUCCESS' : 'FAILURE'} /> },
			{ name: t('Hostname'), key: 'hostname' }, { name: 'IP', key: 'ip' }, { name: 'URL', key: 'url', wide: true },
			{ name: t('Description'), key: 'description' }]} /></Card>
			: running(job) && <p class="quiet" role="status">{t('Under way; nodes appear as they answer.')}</p>}
	</>;
}

// A preheat, or a deletion of a task: both are done by nodes, and told node by node.
export function Job({ id, title }) {
	const data = useLoad((signal) => get(`/api/v1/jobs/${id}`, signal), [id], 2000);
	return <Page title={`${t(title)} ${id}`}>
		<Loaded of={data}>{(job) => <>
			<Card><dl class="pairs">
				<dt>{t('State')}</dt><dd><State of={job.state} /></dd>
				<dt>{t('Description')}</dt><dd>{job.bio || '–'}</dd>
				<dt>{t('Clusters')}</dt><dd>{(job.scheduler_clusters ?? []).map((c) => c.name).join(', ') || t('All')}</dd>
				<dt>{t('Created')}</dt><dd><Time at={job.created_at} /></dd>
				<dt>{t('Updated')}</dt><dd><Time at={job.updated_at} /></dd>
			</dl></Card>
			<Results job={job} />
			<Code title={t('Arguments')} text={JSON.stringify(job.args, null, 2)} />
		</>}</Loaded>
	</Page>;
}

const start = { type: 'image', url: '', bio: '', platform: '', tag: '', application: '', filtered_query_params: '', piece_length: '',
	username: '', password: '', headers: '', scope: 'single_seed_peer', select: 'all', amount: '', clusters: '' };

// What is typed where an image is asked for, as the URL of its manifest: "nginx", "ghcr.io/a/b:1.2" and
// "a/b@sha256:…" mean what they mean to docker pull. Empty: it is neither a name nor a URL.
function manifestUrl(text) {
	const m = /^(?:([a-z0-9.-]+\.[a-z0-9-]+(?::\d+)?|localhost(?::\d+)?|[a-z0-9-]+:\d+)\/)?([a-z0-9._/-]+)(?::([\w.-]+))?(?:@(sha256:[0-9a-f]{64}))?$/.exec(text);
	if (/^https?:/.test(text))
		return /^https?:\/\/[^/]+\/v2\/.+\/manifests\/[^/]+$/.test(text) ? text : '';
	if (!m)
		return '';
	const [, host, name, tag, digest] = m, hub = !host || host === 'docker.io';
	return `https://${hub ? 'registry-1.docker.io' : host}/v2/${hub && !name.includes('/') ? `library/${name}` : name}/manifests/${digest ?? tag ?? 'latest'}`;
}

const urlsOf = (v) => (v.type === 'image' ? [manifestUrl(v.url.trim())].filter(Boolean) : v.url.split(/\s+/).filter(Boolean));

function check(v) {
	const urls = urlsOf(v);
	const amount = Number(v.amount);
	const bad = urls.find((u) => !/^https?:\/\/[^/]+\/./.test(u));
	return {
		url: !v.url.trim() ? t('What shall be preheated?') : bad ? `${bad}: ${t('not a URL')}`
			: urls.length === 0 ? t('A name like registry/repository:tag, or https://registry/v2/<repository>/manifests/<tag>') : '',
		piece_length: !v.piece_length || (v.piece_length >= 4 && v.piece_length <= 64) ? '' : '4 – 64 MiB',
		headers: v.headers.split('\n').filter(Boolean).every((h) => /^[^:\s]+:\s*.+/.test(h)) ? '' : t('Name: value, one on a line'),
		amount: v.select === 'percentage' && !(amount >= 1 && amount <= 100) ? '1 – 100'
			: v.select === 'count' && !(amount >= 1 && amount <= 200) ? '1 – 200'
				: v.select === 'ips' && !v.amount.trim() ? t('Addresses, one on a line') : '',
	};
}

function bodyOf(v) {
	const urls = urlsOf(v);
	const args = { type: v.type, scope: v.scope };
	if (urls.length <= 1)
		args.url = urls[0];
	else
		args.urls = urls;
	for (const key of ['platform', 'tag', 'application', 'filtered_query_params', 'username', 'password'])
		if (v[key])
			args[key] = v[key];
	if (v.piece_length)
		args.piece_length = Number(v.piece_length) << 20;
	if (v.headers)
		args.headers = Object.fromEntries(v.headers.split('\n').filter(Boolean).map((h) => [h.slice(0, h.indexOf(':')), h.slice(h.indexOf(':') + 1).trim()]));
	if (v.scope !== 'single_seed_peer' && v.select !== 'all')
		args[v.select] = v.select === 'ips' ? v.amount.split(/[\s,]+/).filter(Boolean) : Number(v.amount);
	return { type: 'preheat', bio: v.bio, args, scheduler_cluster_ids: v.clusters ? [Number(v.clusters)] : [] };
}

function Form({ clusters }) {
	const form = useForm(start, check, async (v) => {
		const job = await post('/api/v1/jobs', bodyOf(v));
		go(`/jobs/preheats/${job.id}`);
	});
	const { bind, values: v } = form;
	const pick = (key) => ({ value: v[key], onChange: form.change(key), error: form.errors[key] });
	const secret = bodyOf(v);
	if (secret.args.password)
		secret.args.password = '…';
	return <form onSubmit={form.submit} noValidate class="columns">
		<Card title={t('What')}>
			<Select label={t('Type')} {...pick('type')} options={[['image', t('Image')], ['file', t('File')]]} />
			<Field label={v.type === 'image' ? t('Image') : 'URL'} required error={form.errors.url}
				help={v.type === 'image' ? urlsOf(v)[0] ?? t('A name like registry/repository:tag, or https://registry/v2/<repository>/manifests/<tag>') : t('One on a line.')}>
				{(props) => <textarea {...props} rows="3" value={v.url} onInput={form.change('url')} spellcheck={false} />}</Field>
			{v.type === 'image' && <Field label={t('Platform')} placeholder="linux/amd64" {...bind('platform')} />}
			<Field label={t('Description')} {...bind('bio')} />
		</Card>
		<Card title={t('Where')}>
			<Select label={t('Cluster')} {...pick('clusters')} options={[['', t('All')], ...clusters.map((c) => [String(c.scheduler_cluster_id), c.name])]} />
			<Select label={t('Scope')} {...pick('scope')} options={[['single_seed_peer', t('One seed peer')], ['all_seed_peers', t('All seed peers')], ['all_peers', t('All peers')]]} />
			{v.scope !== 'single_seed_peer' && <>
				<Select label={t('Which of them')} {...pick('select')} options={[['all', t('All')], ['ips', 'IPs'], ['count', t('A number')], ['percentage', t('A percentage')]]} />
				{v.select !== 'all' && <Field label={v.select === 'ips' ? 'IPs' : t('How many')} {...bind('amount')} />}
			</>}
		</Card>
		<Card title={t('As a puller would ask')}>
			<Field label={t('Tag')} {...bind('tag')} />
			<Field label={t('Application')} {...bind('application')} />
			<Field label={t('Filtered query params')} help={t('Joined by &. They must be what the puller uses, else it is another task.')} {...bind('filtered_query_params')} />
			<Field label={t('Piece length in MiB')} inputMode="numeric" {...bind('piece_length')} />
		</Card>
		<Card title={t('Credentials')}>
			<Field label={t('User')} autocomplete="off" {...bind('username')} />
			<Field label={t('Password')} type="password" autocomplete="new-password" {...bind('password')} />
			<Field label={t('Headers')} error={form.errors.headers} help={t('Name: value, one on a line')}>
				{(props) => <textarea {...props} rows="2" value={v.headers} onInput={form.change('headers')} spellcheck={false} />}</Field>
		</Card>
		<div class="formend">
			<Code title={t('The same by the API')} text={`curl -X POST ${location.origin}/oapi/v1/jobs \\\n  -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \\\n  -d '${JSON.stringify(secret).replace(/'/g, "'\\''")}'\n`} />
			{form.failure && <Failure error={form.failure} />}
			<div class="actions"><Link class="button" to="/jobs/preheats">{t('Cancel')}</Link><button class="primary" disabled={form.busy}>{t('Preheat')}</button></div>
		</div>
	</form>;
}

export function NewPreheat() {
	const clusters = useLoad((signal) => all('/api/v1/clusters', {}, signal), []);
	return <Page title={t('New preheat')}><Loaded of={clusters}>{(c) => <Form clusters={c} />}</Loaded></Page>;
}
