// The manager's REST API as the pages see it. Every failure is an ApiError with the text that the
// manager sent. After a 401, which may mean much, it is looked whether there still is a session.

export class ApiError extends Error {
	constructor(status, message) {
		super(message);
		this.status = status;
	}
}

let onRefused = () => {};
export function whenRefused(fn) {
	onRefused = fn;
}

async function errorOf(answer) {
	const text = await answer.text();
	try {
		const body = JSON.parse(text);
		return new ApiError(answer.status, body.message ?? body.errors ?? text);
	} catch {
		return new ApiError(answer.status, text || `HTTP ${answer.status}`);
	}
}

async function ask(method, path, body, signal, refused = onRefused) {
	let answer;
	try {
		answer = await fetch(path, {
			method,
			signal,
			headers: body === undefined ? {} : { 'Content-Type': 'application/json' },
			body: body === undefined ? undefined : JSON.stringify(body),
		});
	} catch (e) {
		if (e.name === 'AbortError')
			throw e;
		throw new ApiError(0, 'The manager cannot be reached.');
	}
	if (!answer.ok) {
		const e = await errorOf(answer);
		if (e.status === 401)
			refused();
		throw e;
	}
	return answer;
}

async function bodyOf(answer) {
	const text = await answer.text();
	return text ? JSON.parse(text) : null;
}

export const get = async (path, signal) => bodyOf(await ask('GET', path, undefined, signal));
export const getSession = async (path, signal) => bodyOf(await ask('GET', path, undefined, signal, () => {}));
export const post = async (path, body) => bodyOf(await ask('POST', path, body ?? {}));
export const patch = async (path, body) => bodyOf(await ask('PATCH', path, body));
export const put = async (path) => bodyOf(await ask('PUT', path));
export const del = async (path) => bodyOf(await ask('DELETE', path));

// The number of the last page, of a Link header; 1 if there is none.
export function lastPage(link) {
	for (const part of (link ?? '').split(',')) {
		const m = /<([^>]*)>\s*;\s*rel="?last"?/.exec(part);
		if (m)
			return Number(new URL(m[1], location.href).searchParams.get('page')) || 1;
	}
	return 1;
}

// A page of a list: {rows, pages}.
export async function list(path, query = {}, signal) {
	const q = new URLSearchParams();
	for (const [key, value] of Object.entries(query))
		if (value !== '' && value !== undefined && value !== null)
			q.set(key, value);
	const answer = await ask('GET', `${path}?${q}`, undefined, signal);
	return { rows: (await bodyOf(answer)) ?? [], pages: lastPage(answer.headers.get('Link')) };
}

// How many rows a list has: a page for each.
export async function count(path, query = {}, signal) {
	const { rows, pages } = await list(path, { ...query, per_page: 1 }, signal);
	return rows.length && pages;
}

// All rows of a list, in as many requests as it takes.
export async function all(path, query = {}, signal) {
	const rows = [];
	for (let page = 1, pages = 1; page <= pages; page++) {
		const part = await list(path, { ...query, page, per_page: 1000 }, signal);
		rows.push(...part.rows);
		pages = part.pages;
	}
	return rows;
}
