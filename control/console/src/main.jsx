// The frame: who is signed in, where we are, the menu, language and colours.
import { render } from 'preact';
import { useEffect, useErrorBoundary, useRef, useState } from 'preact/hooks';
import { whenRefused } from './api.js';
import { loadSession, Session, signOut } from './session.js';
import { go, Link, match, useLocation } from './route.jsx';
import { Failure, LanguageButton, useLoad } from './ui.jsx';
import { language, t } from './text.js';
import { SignIn, FirstPassword } from './pages/signin.jsx';
import { Overview } from './pages/overview.jsx';
import { Clusters } from './pages/clusters.jsx';
import { Cluster } from './pages/cluster.jsx';
import { ClusterForm } from './pages/cluster_form.jsx';
import { Members, Member } from './pages/members.jsx';
import { Job, Preheats, NewPreheat } from './pages/preheats.jsx';
import { Tasks, Executions } from './pages/tasks.jsx';
import { Task } from './pages/task.jsx';
import { Topology } from './pages/topology.jsx';
import { Tokens, NewToken } from './pages/tokens.jsx';
import { Users, NewUser, User } from './pages/users.jsx';
import { Roles } from './pages/roles.jsx';
import { Audit } from './pages/audit.jsx';
import { Profile } from './pages/profile.jsx';

const pages = [
	['/', Overview],
	['/topology', Topology],
	['/clusters', Clusters],
	['/clusters/new', ClusterForm],
	['/clusters/:id', Cluster],
	['/clusters/:id/edit', ClusterForm],
	['/schedulers', Members, { kind: 'schedulers' }],
	['/schedulers/:id', Member, { kind: 'schedulers' }],
	['/seed-peers', Members, { kind: 'seed-peers' }],
	['/seed-peers/:id', Member, { kind: 'seed-peers' }],
	['/peers', Members, { kind: 'peers' }],
	['/peers/:id', Member, { kind: 'peers' }],
	['/jobs/preheats', Preheats],
	['/jobs/preheats/new', NewPreheat],
	['/jobs/preheats/:id', Job, { title: 'Preheat' }],
	['/tasks', Tasks],
	['/tasks/executions', Executions],
	['/tasks/executions/:id', Job, { title: 'Execution' }],
	['/tasks/:id', Task],
	['/tokens', Tokens],
	['/tokens/new', NewToken],
	['/users', Users],
	['/users/new', NewUser],
	['/users/:id', User],
	['/roles', Roles],
	['/audit', Audit],
	['/profile', Profile],
];

const menu = () => [
	['/', t('Overview')],
	['/topology', t('Topology')],
	['/clusters', t('Clusters')],
	['/schedulers', t('Schedulers')],
	['/seed-peers', t('Seed peers')],
	['/peers', t('Peers')],
	['/jobs/preheats', t('Preheat')],
	['/tasks', t('Tasks')],
	['/tokens', t('Tokens')],
	['/users', t('Users')],
	['/roles', t('Roles')],
	['/audit', t('Audit')],
];

function useTheme() {
	const [theme, set] = useState(localStorage.getItem('theme') ?? 'auto');
	useEffect(() => {
		document.documentElement.dataset.theme = theme;
		localStorage.setItem('theme', theme);
	}, [theme]);
	return [theme, () => set({ auto: 'dark', dark: 'light', light: 'auto' }[theme])];
}

function Frame({ session, path, children, onSignOut }) {
	const [theme, nextTheme] = useTheme();
	const [open, setOpen] = useState(false);
	useEffect(() => setOpen(false), [path]);
	const isAt = (to) => (to === '/' ? path === '/' : path === to || path.startsWith(`${to}/`));
	return <div class={open ? 'frame open' : 'frame'}>
		<a class="skip" href="#main">{t('Skip to the page')}</a>
		<header>
			<button type="button" class="menubutton" aria-expanded={open} aria-controls="menu"
				onClick={() => setOpen(!open)}>{t('Menu')}</button>
			<Link class="brand" to="/"><img src="/assets/icon.svg" alt="" width="24" height="24" />Skimmer</Link>
			<div class="tools">
				<LanguageButton />
				<button type="button" onClick={nextTheme} aria-label={`${t('Colours')}: ${t(theme)}`}>
					<span aria-hidden="true">◐ </span>{t(theme)}</button>
				<Link to="/profile">{session.user.name}</Link>
				<button type="button" onClick={onSignOut}>{t('Sign out')}</button>
			</div>
		</header>
		<nav id="menu" aria-label={t('Menu')}>
			{menu().map(([to, name]) => <Link key={to} to={to} aria-current={isAt(to) ? 'page' : undefined}>{name}</Link>)}
		</nav>
		<main id="main" tabIndex={-1}>{children}</main>
	</div>;
}

function NotFound() {
	return <div class="emptybox"><h1>{t('There is no such page.')}</h1><Link to="/">{t('Overview')}</Link></div>;
}

// A fault of one page leaves the others.
function Guard({ children }) {
	const [error, retry] = useErrorBoundary();
	return error ? <Failure error={error} retry={retry} /> : children;
}

function pageAt(path, query) {
	for (const [pattern, Component, props] of pages) {
		const params = match(pattern, path);
		if (params)
			return <Guard key={path}><Component {...props} {...params} query={query} /></Guard>;
	}
	return <NotFound />;
}

function App() {
	const { path, query } = useLocation();
	const session = useLoad(loadSession, []);
	const [, setLang] = useState(language());
	const wasIn = useRef(false);
	// Not at each drawing: who signs out is still there while the session is asked for once more.
	useEffect(() => { wasIn.current ||= !!session.value; }, [session.value]);
	useEffect(() => {
		whenRefused(session.reload);
		addEventListener('languagechange-console', () => setLang(language()));
	}, []);
	const leave = async () => {
		await signOut().catch(() => {});
		wasIn.current = false;
		session.reload();
		go('/');
	};
	if (session.error && session.value === undefined)
		return <main class="alone"><Failure error={session.error} retry={session.reload} /></main>;
	if (session.value === undefined)
		return null;
	if (!session.value)
		return <SignIn onSignedIn={session.reload} ended={wasIn.current} />;
	if (session.value.mustChange)
		return <FirstPassword session={session.value} onChanged={session.reload} />;
	return <Session.Provider value={session.value}>
		<Frame session={session.value} path={path} onSignOut={leave}>{pageAt(path === '' ? '/' : path, query)}</Frame>
	</Session.Provider>;
}

document.documentElement.lang = language();
render(<App />, document.getElementById('app'));
