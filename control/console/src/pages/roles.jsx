import { useContext, useState } from 'preact/hooks';
import { all, del, get, post } from '../api.js';
import { Card, Confirm, Failure, Field, Loaded, Page, useForm, useLoad } from '../ui.jsx';
import { Session } from '../session.js';
import { t } from '../text.js';

function NewRole({ objects, onDone }) {
	const form = useForm({ role: '', ...Object.fromEntries(objects.map((o) => [o, ''])) }, (v) => ({
		role: /^[A-Za-z0-9_-]{1,40}$/.test(v.role) ? '' : t('1 to 40 letters, digits, _ or -'),
		none: objects.some((o) => v[o]) ? '' : t('Permit something'),
	}), async (v) => {
		await post('/api/v1/roles', { role: v.role, permissions: objects.filter((o) => v[o]).map((object) => ({ object, action: v[object] })) });
		onDone();
	});
	return <Card title={t('New role')}><form onSubmit={form.submit} noValidate>
		<Field label={t('Name')} required {...form.bind('role')} />
		<div class="tablewrap" tabIndex={0} role="region" aria-label={t('Permissions')}><table><thead><tr><th scope="col">{t('What')}</th><th scope="col">{t('Permission')}</th></tr></thead>
			<tbody>{objects.map((o) => <tr key={o}><th scope="row">{o}</th><td><select aria-label={o} onChange={form.change(o)}>
				<option value="">{t('nothing')}</option><option value="read">{t('read')}</option><option value="*">{t('everything')}</option></select></td></tr>)}</tbody></table></div>
		{form.errors.none && <small class="error">{form.errors.none}</small>}
		{form.failure && <Failure error={form.failure} />}
		<div class="actions"><button class="primary" disabled={form.busy}>{t('Create')}</button></div>
	</form></Card>;
}

export function Roles() {
	const { isRoot } = useContext(Session);
	const [asking, ask] = useState(null);
	const data = useLoad(async (signal) => {
		const [roles, permissions] = await Promise.all([all('/api/v1/roles', {}, signal), all('/api/v1/permissions', {}, signal)]);
		const rules = await Promise.all(roles.map((r) => get(`/api/v1/roles/${encodeURIComponent(r)}`, signal)));
		return { roles: roles.map((name, i) => ({ name, rules: rules[i] ?? [] })), objects: [...new Set(permissions.map((p) => p.object))].sort() };
	}, []);
	return <Page title={t('Roles')}><Loaded of={data}>{({ roles, objects }) => <>
		<div class="grid wide">{roles.map((r) => <Card key={r.name} title={r.name}
			actions={isRoot && !['root', 'guest'].includes(r.name) && <button type="button" class="small danger" onClick={() => ask(r.name)}>{t('Delete')}</button>}>
			<p class="chips">{r.rules.map(([, object, action]) => <span key={object + action} class="chip">{object}: {action === '*' ? t('everything') : t('read')}</span>)}</p>
		</Card>)}</div>
		{isRoot && <NewRole key={roles.length} objects={objects} onDone={data.reload} />}
		{asking && <Confirm title={t('Delete')} name={asking} word={asking} text={t('Its users lose what it permits.')} action={() => del(`/api/v1/roles/${encodeURIComponent(asking)}`)}
			onDone={() => { ask(null); data.reload(); }} onClose={() => ask(null)} />}
	</>}</Loaded></Page>;
}
