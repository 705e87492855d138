import { useContext, useState } from 'preact/hooks';
import { all, del, get, list, patch, post, put } from '../api.js';
import { go, Link } from '../route.jsx';
import { Card, Confirm, Failure, Field, Filters, Loaded, Page, Pages, State, Table, useAction, useForm, useLoad } from '../ui.jsx';
import { accountFaults } from './signin.jsx';
import { Session } from '../session.js';
import { t } from '../text.js';

export function Users({ query }) {
	const data = useLoad((signal) => list('/api/v1/users', { name: query.name, page: query.page, per_page: 50 }, signal), [query.name, query.page]);
	return <Page title={t('Users')} actions={<Link class="button primary" to="/users/new">{t('New user')}</Link>}>
		<Filters query={query} of={[['name', t('Account')]]} />
		<Loaded of={data} empty={(d) => d.rows.length === 0}>{({ rows, pages }) => <>
			<Card><Table caption={t('Users')} rows={rows} exportAs="users" columns={[
				{ name: t('Account'), text: (u) => u.name, show: (u) => <Link to={`/users/${u.id}`}>{u.name}</Link> },
				{ name: t('E-mail'), key: 'email' }, { name: t('Location'), key: 'location' },
				{ name: t('State'), text: (u) => u.state, show: (u) => <State of={u.state} /> }]} /></Card>
			<Pages page={query.page} pages={pages} />
		</>}</Loaded>
	</Page>;
}

export function NewUser() {
	const form = useForm({ name: '', email: '', password: '', phone: '', location: '', bio: '' }, accountFaults, async (v) => {
		const user = await post('/api/v1/users/signup', v);
		go(`/users/${user.id}`);
	});
	return <Page title={t('New user')}><Card><form onSubmit={form.submit} noValidate>
		<Field label={t('Account')} required autocomplete="off" {...form.bind('name')} />
		<Field label={t('E-mail')} required type="email" autocomplete="off" {...form.bind('email')} />
		<Field label={t('Password')} required type="password" autocomplete="new-password" {...form.bind('password')} />
		<Field label={t('Phone')} {...form.bind('phone')} />
		<Field label={t('Location')} {...form.bind('location')} />
		<Field label={t('Description')} {...form.bind('bio')} />
		{form.failure && <Failure error={form.failure} />}
		<div class="actions"><Link class="button" to="/users">{t('Cancel')}</Link><button class="primary" disabled={form.busy}>{t('Create')}</button></div>
	</form></Card></Page>;
}

const labels = { name: 'Account', email: 'E-mail', phone: 'Phone', location: 'Location', bio: 'Description', state: 'State' };

export function User({ id }) {
	const { isRoot } = useContext(Session);
	const [asking, ask] = useState(false);
	const { error, run } = useAction();
	const [wanted, setWanted] = useState({}); // shown until the manager has answered
	const data = useLoad(async (signal) => {
		const [user, has, roles] = await Promise.all([get(`/api/v1/users/${id}`, signal),
			get(`/api/v1/users/${id}/roles`, signal), all('/api/v1/roles', {}, signal)]);
		return { user, has, roles };
	}, [id]);
	const change = (role, on) => run(async () => {
		setWanted((old) => ({ ...old, [role]: on }));
		try {
			await (on ? put : del)(`/api/v1/users/${id}/roles/${encodeURIComponent(role)}`);
		} catch (failure) {
			setWanted((old) => ({ ...old, [role]: !on }));
			throw failure;
		}
		data.reload();
	});
	const enabled = data.value?.user.state === 'enable';
	const setState = async (state) => {
		await patch(`/api/v1/users/${id}`, { state });
		data.reload();
	};
	const actions = isRoot && data.value && (enabled ? <button type="button" class="danger" onClick={() => ask(true)}>{t('Disable')}</button>
		: <button type="button" onClick={() => run(() => setState('enable'))}>{t('Enable')}</button>);
	return <Page title={data.value?.user.name ?? t('Users')} actions={actions}>
		<Loaded of={data}>{({ user, has, roles }) => <>
			<Card><dl class="pairs">{Object.entries(labels).map(([f, name]) => <><dt>{t(name)}</dt><dd>{f === 'state' ? <State of={user.state} /> : user[f] || '–'}</dd></>)}</dl></Card>
			<Card title={t('Roles')}>
				{error && <Failure error={error} />}
				{roles.map((role) => <label key={role} class="check"><input type="checkbox" checked={wanted[role] ?? has.includes(role)}
					onChange={(e) => change(role, e.target.checked)} />{role}</label>)}
			</Card>
			{asking && <Confirm title={t('Disable')} name={user.name} text={t('Who is disabled cannot sign in, and what they were signed in to ends.')}
				action={() => setState('disable')} onDone={() => ask(false)} onClose={() => ask(false)} />}
		</>}</Loaded>
	</Page>;
}
