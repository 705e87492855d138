// Who is signed in: read from the cookie "jwt", as Dragonfly's console does.
import { createContext } from 'preact';
import { get, post } from './api.js';

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

export function signedInId() {
	const c = claims();
	return c && c.exp * 1000 > Date.now() ? c.id : 0;
}

// {id, user, roles, isRoot, mustChange}; null: nobody.
export async function loadSession() {
	const id = signedInId();
	if (!id)
		return null;
	const [user, roles] = await Promise.all([get(`/api/v1/users/${id}`),
		get(`/api/v1/users/${id}/roles`)]);
	return { id, user, roles, isRoot: roles.includes('root'), mustChange: !!user.must_change_password };
}

export const signOut = () => post('/api/v1/users/signout');

export const Session = createContext(null);
