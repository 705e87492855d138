import { all, del, get, list, post, put } from '../api.js';
import { go, Link } from '../route.jsx';
import { Card, Failure, Field, Filters, Loaded, Page, Pages, State, Table, useForm, useLoad } from '../ui.jsx';
import { passwordFault } from './signin.jsx';
import { useState } from 'preact/hooks';
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
	const form = useForm({ name: '', email: '', password: '', phone: '', location: '', bio: '' }, (v) => ({
		name: v.name.length < 3 || v.name.length > 10 ? t('3 to 10 characters') : '',
		email: /^[^@\s]+@[^@\s]+$/.test(v.email) ? '' : t('An e-mail address'),
		password: passwordFault(v.password),
	}), async (v) => {
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

export function User({ id }) {
	const [error, setError] = useState(null);
	const [wanted, setWanted] = useState({}); // shown until the manager has answered
	const data = useLoad(async (signal) => {
		const [user, has, roles] = await Promise.all([get(`/api/v1/users/${id}`, signal),
			get(`/api/v1/users/${id}/roles`, signal), all('/api/v1/roles', {}, signal)]);
		return { user, has, roles };
	}, [id]);
	const change = async (role, on) => {
		setError(null);
		setWanted({ ...wanted, [role]: on });
		try {
			await (on ? put : del)(`/api/v1/users/${id}/roles/${encodeURIComponent(role)}`);
		} catch (failure) {
			setError(failure);
			setWanted({ ...wanted, [role]: !on });
		}
		data.reload();
	};
	return <Page title={data.value?.user.name ?? t('Users')}>
		<Loaded of={data}>{({ user, has, roles }) => <>
			<Card><dl class="pairs">{['name', 'email', 'phone', 'location', 'bio', 'state'].map((f) => <><dt>{t(f)}</dt><dd>{user[f] || '–'}</dd></>)}</dl></Card>
			<Card title={t('Roles')}>
				{error && <Failure error={error} />}
				{roles.map((role) => <label key={role} class="check"><input type="checkbox" checked={wanted[role] ?? has.includes(role)}
					onChange={(e) => change(role, e.target.checked)} />{role}</label>)}
			</Card>
		</>}</Loaded>
	</Page>;
}
