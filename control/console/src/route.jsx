// Where we are: the path is the page, the query is its filters, so every view has an address.
import { useEffect, useState } from 'preact/hooks';

const changed = new Set();

export function go(to, { replace = false } = {}) {
	const from = location.pathname;
	history[replace ? 'replaceState' : 'pushState'](null, '', to);
	for (const fn of changed)
		fn();
	if (location.pathname !== from)
		toTop();
}

// As the browser does with a page of its own: seen, and by the keyboard reached, from its beginning.
function toTop() {
	scrollTo(0, 0);
	document.getElementById('main')?.focus({ preventScroll: true });
}

addEventListener('popstate', () => changed.forEach((fn) => fn()));

export function useLocation() {
	const [at, set] = useState(location.pathname + location.search);
	useEffect(() => {
		const fn = () => set(location.pathname + location.search);
		changed.add(fn);
		return () => changed.delete(fn);
	}, []);
	const url = new URL(at, location.href);
	return { path: url.pathname, query: Object.fromEntries(url.searchParams) };
}

// Sets some of the query's parts and keeps the others; empty takes one away.
export function setQuery(parts) {
	const url = new URL(location.href);
	for (const [key, value] of Object.entries(parts)) {
		if (value === '' || value === undefined || value === null)
			url.searchParams.delete(key);
		else
			url.searchParams.set(key, value);
	}
	go(url.pathname + url.search, { replace: true });
}

function decoded(part) {
	try {
		return decodeURIComponent(part);
	} catch {
		return part;
	}
}

// "/clusters/:id" against a path: its parameters, or null.
export function match(pattern, path) {
	const want = pattern.split('/');
	const have = (path.replace(/\/+$/, '') || '/').split('/');
	const params = {};
	if (want.length !== have.length)
		return null;
	for (let i = 0; i < want.length; i++) {
		if (want[i].startsWith(':'))
			params[want[i].slice(1)] = decoded(have[i]);
		else if (want[i] !== have[i])
			return null;
	}
	return params;
}

export function Link({ to, children, ...rest }) {
	const click = (e) => {
		if (e.ctrlKey || e.metaKey || e.shiftKey || e.button !== 0)
			return;
		e.preventDefault();
		go(to);
	};
	return <a href={to} onClick={click} {...rest}>{children}</a>;
}
