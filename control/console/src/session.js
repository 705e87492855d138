// Who is signed in: read from the cookie "jwt", as Dragonfly's console does.
import { createContext } from 'preact';
import { getSession, post } from './api.js';

function claims() {
	const m = /(?:^|;\s*)jwt=([^;]+)/.exec(document.cookie);
	if (!m)
		return null;
	try {
		const part = m[1].split('.')[1].replace(/-/g, '+').replace(/_/g, '/');
		return JSON.parse(atob(part));
	} catch {
		return null;
	}
}

function signedInId() {
	const c = claims();
	return c && c.exp * 1000 > Date.now() ? c.id : 0;
}

// {id, user, roles, isRoot, mustChange}; null: nobody.
export async function loadSession(signal) {
	const id = signedInId();
	if (!id)
		return null;
	try {
		const [user, roles] = await Promise.all([getSession(`/api/v1/users/${id}`, signal),
			getSession(`/api/v1/users/${id}/roles`, signal)]);
		return { id, user, roles, isRoot: roles.includes('root'), mustChange: !!user.must_change_password };
	} catch (e) {
		if (e.status === 401)
			return null;
		throw e;
	}
}

export const signOut = () => post('/api/v1/users/signout');

export const Session = createContext(null);
