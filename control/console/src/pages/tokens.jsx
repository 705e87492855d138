// Personal access tokens. A new one is shown once, in this page, and kept nowhere.
import { useContext, useState } from 'preact/hooks';
import { all, del, patch, post } from '../api.js';
import { Link } from '../route.jsx';
import { Card, Code, Confirm, Failure, Field, Loaded, Page, Select, State, Table, Time, useAction, useForm, useLoad } from '../ui.jsx';
import { Session } from '../session.js';
import { t } from '../text.js';

export function Tokens() {
	const [asking, ask] = useState(null);
	const data = useLoad((signal) => all('/api/v1/personal-access-tokens', {}, signal), []);
	const { error, run } = useAction();
	const toggle = (token) => run(async () => {
		await patch(`/api/v1/personal-access-tokens/${token.id}`, { state: token.state === 'active' ? 'inactive' : 'active' });
		data.reload();
	});
	return <Page title={t('Tokens')} actions={<Link class="button primary" to="/tokens/new">{t('New token')}</Link>}>
		{error && <Failure error={error} />}
		<Loaded of={data} empty={(rows) => rows.length === 0}>{(rows) => <Card><Table caption={t('Tokens')} rows={rows} columns={[
			{ name: t('Name'), key: 'name' },
			{ name: t('Description'), key: 'bio' },
			{ name: t('Scopes'), text: (r) => (r.scopes ?? []).join(', '), show: (r) => (r.scopes ?? []).join(', ') },
			{ name: t('State'), text: (r) => r.state, show: (r) => <State of={r.state} /> },
			{ name: t('Expires'), text: (r) => r.expired_at, show: (r) => <Time at={r.expired_at} /> },
			{ name: t('Actions'), show: (r) => <div class="actions">
				<button type="button" class="small" onClick={() => toggle(r)}>{r.state === 'active' ? t('Disable') : t('Enable')}</button>
				<button type="button" class="small danger" onClick={() => ask(r)}>{t('Delete')}</button></div> },
		]} /></Card>}</Loaded>
		{asking && <Confirm title={t('Delete')} name={asking.name} word={asking.name} text={t('Whoever uses this token is locked out.')}
			action={() => del(`/api/v1/personal-access-tokens/${asking.id}`)} onDone={() => { ask(null); data.reload(); }} onClose={() => ask(null)} />}
	</Page>;
}

export function NewToken() {
	const { id } = useContext(Session);
	const [token, setToken] = useState(null);
	const form = useForm({ name: '', bio: '', days: '30', job: true, cluster: false }, (v) => ({
		name: v.name ? '' : t('A name is missing'),
		scope: v.job || v.cluster ? '' : t('Choose at least one scope'),
	}), async (v) => {
		const made = await post('/api/v1/personal-access-tokens', { name: v.name, bio: v.bio, user_id: id,
			scopes: ['job', 'cluster'].filter((s) => v[s]), expired_at: new Date(Date.now() + v.days * 86400000).toISOString() });
		setToken(made.token);
	});
	if (token)
		return <Page title={t('New token')}><Card><p>{t('Copy it now: it is not shown again.')}</p><Code title={t('Token')} text={token} />
			<Link class="button" to="/tokens">{t('Done')}</Link></Card></Page>;
	const box = (key, label) => <label class="check"><input type="checkbox" checked={form.values[key]} onChange={form.change(key)} />{label}</label>;
	return <Page title={t('New token')}><Card><form onSubmit={form.submit} noValidate>
		<Field label={t('Name')} required {...form.bind('name')} />
		<Field label={t('Description')} {...form.bind('bio')} />
		<Select label={t('Expires')} value={form.values.days} onChange={form.change('days')}
			options={[['7', 7], ['30', 30], ['60', 60], ['90', 90], ['365', 365]].map(([k, n]) => [k, `${n} ${t('days')}`])} />
		<fieldset><legend>{t('Scopes')}</legend>{box('job', t('Jobs'))}{box('cluster', t('Clusters'))}
			{form.errors.scope && <small class="error">{form.errors.scope}</small>}</fieldset>
		{form.failure && <Failure error={form.failure} />}
		<div class="actions"><Link class="button" to="/tokens">{t('Cancel')}</Link><button class="primary" disabled={form.busy}>{t('Create')}</button></div>
	</form></Card></Page>;
}
