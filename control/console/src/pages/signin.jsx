// The doors: sign in, sign up, and the password that must be changed first.
import { useState } from 'preact/hooks';
import { get, post } from '../api.js';
import { Failure, Field, LanguageButton, useForm, useLoad } from '../ui.jsx';
import { t } from '../text.js';

const passwordFault = (p) => (p.length < 8 || p.length > 20 ? t('8 to 20 characters')
	: !/[a-z]/.test(p) || !/[0-9]/.test(p) ? t('A lower-case letter and a digit at least') : '');

export const isEmail = (text) => /^[^@\s]+@[^@\s]+$/.test(text);

// Of a new account, as the manager checks it.
export const accountFaults = (v) => ({
	name: v.name.length < 3 || v.name.length > 10 ? t('3 to 10 characters') : '',
	email: isEmail(v.email) ? '' : t('An e-mail address'),
	password: passwordFault(v.password),
});

function Door({ title, children }) {
	return <main class="alone">
		<div class="card door">
			<img src="/assets/icon.svg" alt="" width="48" height="48" />
			<h1>{title}</h1>
			{children}
			<LanguageButton class="plain" />
		</div>
	</main>;
}

function Providers() {
	const providers = useLoad((signal) => get('/api/v1/oauth', signal).catch(() => []), []);
	return (providers.value ?? []).map((p) => <a key={p.name} class="button" href={`/api/v1/users/signin/${p.name}`}>
		{t('Sign in with')} {p.name}</a>);
}

function SignUp({ onDone }) {
	const form = useForm({ name: '', email: '', password: '', again: '' }, (v) => ({
		...accountFaults(v),
		again: v.again === v.password ? '' : t('The two differ'),
	}), async ({ again, ...v }) => {
		await post('/api/v1/users/signup', v);
		onDone();
	});
	return <form onSubmit={form.submit} noValidate>
		<Field label={t('Account')} required autocomplete="username" {...form.bind('name')} />
		<Field label={t('E-mail')} required type="email" autocomplete="email" {...form.bind('email')} />
		<Field label={t('Password')} required type="password" autocomplete="new-password" {...form.bind('password')} />
		<Field label={t('Password again')} required type="password" autocomplete="new-password" {...form.bind('again')} />
		{form.failure && <Failure error={form.failure} />}
		<button class="primary" disabled={form.busy}>{t('Create account')}</button>
		<button type="button" class="plain" onClick={onDone}>{t('Sign in')}</button>
	</form>;
}

// ended: somebody was signed in, and comes back to the page that the address says.
export function SignIn({ onSignedIn, ended }) {
	const [isNew, setNew] = useState(false);
	const form = useForm({ name: '', password: '' }, (v) => ({
		name: v.name ? '' : t('Who are you?'),
		password: v.password ? '' : t('The password is missing'),
	}), async (v) => {
		await post('/api/v1/users/signin', v);
		onSignedIn();
	});
	if (isNew)
		return <Door title={t('Create account')}><SignUp onDone={() => setNew(false)} /></Door>;
	return <Door title={t('Sign in to Skimmer')}>
		{ended && <p role="status">{t('The session has ended. Sign in to go on where you were.')}</p>}
		<form onSubmit={form.submit} noValidate>
			<Field label={t('Account')} required autocomplete="username" {...form.bind('name')} />
			<Field label={t('Password')} required type="password" autocomplete="current-password" {...form.bind('password')} />
			{form.failure && <Failure error={form.failure} />}
			<button class="primary" disabled={form.busy}>{t('Sign in')}</button>
			<button type="button" class="plain" onClick={() => setNew(true)}>{t('Create account')}</button>
		</form>
		<Providers />
	</Door>;
}

export function PasswordForm({ id, onChanged }) {
	const form = useForm({ old: '', password: '', again: '' }, (v) => ({
		old: v.old ? '' : t('The password is missing'),
		password: v.password === v.old ? t('It must be a new one') : passwordFault(v.password),
		again: v.again === v.password ? '' : t('The two differ'),
	}), async (v) => {
		await post(`/api/v1/users/${id}/reset_password`, { old_password: v.old, new_password: v.password });
		await onChanged(v.password);
	});
	return <form onSubmit={form.submit} noValidate>
		<Field label={t('Old password')} required type="password" autocomplete="current-password" {...form.bind('old')} />
		<Field label={t('New password')} required type="password" autocomplete="new-password"
			help={t('8 to 20 characters, a lower-case letter and a digit among them.')} {...form.bind('password')} />
		<Field label={t('New password again')} required type="password" autocomplete="new-password" {...form.bind('again')} />
		{form.failure && <Failure error={form.failure} />}
		<button class="primary" disabled={form.busy}>{t('Change password')}</button>
	</form>;
}

export function FirstPassword({ session, onChanged }) {
	const signInAgain = async (password) => {
		await post('/api/v1/users/signin', { name: session.user.name, password });
		onChanged();
	};
	return <Door title={t('Choose a new password')}>
		<p>{t('The first password is known to everybody. Change it to go on.')}</p>
		<PasswordForm id={session.id} onChanged={signInAgain} />
	</Door>;
}
