import { useContext, useState } from 'preact/hooks';
import { patch, post } from '../api.js';
import { Card, Failure, Field, Page, useForm } from '../ui.jsx';
import { isEmail, PasswordForm } from './signin.jsx';
import { Session } from '../session.js';
import { t } from '../text.js';

export function Profile() {
	const { id, user } = useContext(Session);
	const [saved, setSaved] = useState('');
	const form = useForm({ email: user.email ?? '', phone: user.phone ?? '', location: user.location ?? '', bio: user.bio ?? '' }, (v) => ({
		email: !v.email || isEmail(v.email) ? '' : t('An e-mail address'),
	}), async (v) => {
		await patch(`/api/v1/users/${id}`, v);
		setSaved(t('Saved.'));
	});
	const changed = async (password) => {
		await post('/api/v1/users/signin', { name: user.name, password });
		setSaved(t('The password is changed.'));
	};
	return <Page title={user.name}>
		{saved && <p class="good" role="status">{saved}</p>}
		<div class="grid wide">
			<Card title={t('Profile')}><form onSubmit={form.submit} noValidate>
				<Field label={t('E-mail')} type="email" autocomplete="email" {...form.bind('email')} />
				<Field label={t('Phone')} autocomplete="tel" {...form.bind('phone')} />
				<Field label={t('Location')} {...form.bind('location')} />
				<Field label={t('Description')} {...form.bind('bio')} />
				{form.failure && <Failure error={form.failure} />}
				<div class="actions"><button class="primary" disabled={form.busy}>{t('Save')}</button></div>
			</form></Card>
			<Card title={t('Security')}><PasswordForm id={id} onChanged={changed} /></Card>
		</div>
	</Page>;
}
