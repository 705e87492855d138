// What the manager does with a cluster's scopes, for checking what is typed and for the preview.
// The manager's own rule is control/manager/search.c.
import { t } from './text.js';

function parseV4(text) {
	const parts = text.split('.');
	if (parts.length !== 4 || !parts.every((p) => /^\d{1,3}$/.test(p) && Number(p) < 256))
		return null;
	return { bits: 32, value: parts.reduce((sum, p) => sum * 256n + BigInt(p), 0n) };
}

function parseV6(text) {
	const halves = text.split('::');
	if (halves.length > 2 || !/^[0-9a-fA-F:]+$/.test(text))
		return null;
	const words = halves.map((h) => (h ? h.split(':') : []));
	const missing = 8 - words.flat().length;
	if (halves.length === 2 ? missing < 1 : missing !== 0)
		return null;
	const full = halves.length === 2 ? [...words[0], ...Array(missing).fill('0'), ...words[1]] : words[0];
	if (!full.every((w) => /^[0-9a-fA-F]{1,4}$/.test(w)))
		return null;
	return { bits: 128, value: full.reduce((sum, w) => (sum << 16n) + BigInt(`0x${w}`), 0n) };
}

export const parseAddress = (text) => parseV4(text) ?? parseV6(text);

export function parseCidr(text) {
	const m = /^([^/]+)\/(\d{1,3})$/.exec(text);
	const address = m && parseAddress(m[1]);
	if (!address || Number(m[2]) > address.bits)
		return null;
	return { ...address, length: Number(m[2]) };
}

export const cidrFault = (text) => (parseCidr(text) ? '' : `${text}: ${t('not a network like 10.0.0.0/8')}`);

export function regexFault(text) {
	try {
		new RegExp(text);
		return '';
	} catch {
		return `${text}: ${t('not a regular expression')}`;
	}
}

function inCidr(ip, text) {
	const net = parseCidr(text);
	const address = ip && parseAddress(ip);
	if (!net || !address || net.bits !== address.bits)
		return false;
	const shift = BigInt(net.bits - net.length);
	return address.value >> shift === net.value >> shift;
}

function matchesName(name, pattern) {
	try {
		return new RegExp(pattern).test(name ?? '');
	} catch {
		return false;
	}
}

const levels = (text) => (text ?? '').toLowerCase().split('|').filter(Boolean);

// Why a node belongs to these scopes: 'cidr', 'idc', 'location', 'hostname', or ''.
export function matchedBy(node, scopes) {
	if ((scopes.cidrs ?? []).some((c) => inCidr(node.ip, c)))
		return 'cidr';
	if (node.idc && levels(scopes.idc).includes(node.idc.toLowerCase()))
		return 'idc';
	const want = levels(scopes.location);
	const have = levels(node.location);
	if (want.length && have.length && want[0] === have[0])
		return 'location';
	if ((scopes.hostnames ?? []).some((h) => matchesName(node.host_name, h)))
		return 'hostname';
	return '';
}
