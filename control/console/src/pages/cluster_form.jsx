// The form of "ADD CLUSTER" and of editing one: what is typed is checked while it is typed, the
// nodes that would match are shown, and what changes is shown before it is saved.
import { useMemo, useState } from 'preact/hooks';
import { all, get, patch, post } from '../api.js';
import { go, Link } from '../route.jsx';
import { Card, Failure, Field, Loaded, Page, useForm, useLoad } from '../ui.jsx';
import { cidrFault, matchedBy, regexFault } from '../scopes.js';
import { t } from '../text.js';

const limits = [
	['seed_peer_cluster_config', 'load_limit', 'Seed peer load limit', 1, 50000, 2000, 'Uploads at a time of one seed peer.'],
	['peer_cluster_config', 'load_limit', 'Peer load limit', 1, 2000, 200, 'Uploads at a time of one peer.'],
	['scheduler_cluster_config', 'candidate_parent_limit', 'Candidate parent limit', 1, 20, 4, 'Parents that a peer gets at a time.'],
	['scheduler_cluster_config', 'filter_parent_limit', 'Filter parent limit', 10, 1000, 40, 'Peers that are looked at when choosing them.'],
	['scheduler_cluster_config', 'job_rate_limit', 'Job rate limit', 1, 1000000, 10, 'Jobs a second that may be started.'],
];
const keyOf = (group, name) => `${group}.${name}`;
const labels = {
	name: 'Name', bio: 'Description', is_default: 'Default', location: 'Location', idc: 'IDC', cidrs: 'CIDRs', hostnames: 'Hostnames',
	block_list: 'Block list of clients', seed_block_list: 'Block list of seed clients',
	...Object.fromEntries(limits.map(([group, name, label]) => [keyOf(group, name), label])),
};
const lines = (text) => text.split(/[\s,]+/).map((s) => s.trim()).filter(Boolean);

function valuesOf(c) {
	const values = {
		name: c?.name ?? '', bio: c?.bio ?? '', is_default: c?.is_default ?? false,
		location: c?.scopes?.location ?? '', idc: (c?.scopes?.idc ?? '').split('|').join('\n'),
		cidrs: (c?.scopes?.cidrs ?? []).join('\n'), hostnames: (c?.scopes?.hostnames ?? []).join('\n'),
		block_list: c?.peer_cluster_config?.block_list ? JSON.stringify(c.peer_cluster_config.block_list, null, 2) : '',
		seed_block_list: c?.seed_peer_cluster_config?.block_list ? JSON.stringify(c.seed_peer_cluster_config.block_list, null, 2) : '',
	};
	for (const [group, name, , , , fallback] of limits)
		values[keyOf(group, name)] = String(c?.[group]?.[name] ?? fallback);
	return values;
}

function jsonFault(text) {
	try {
		return !text.trim() || /^\s*\{/.test(text) && JSON.parse(text) ? '' : t('A JSON object');
	} catch (e) {
		return `${t('A JSON object')}: ${e.message}`;
	}
}

function check(v) {
	const errors = {
		name: /^[A-Za-z0-9@$!%*?&._-]{1,40}$/.test(v.name) ? '' : t('1 to 40 letters, digits or @$!%*?&._-'),
		bio: v.bio.length > 400 ? t('400 characters at most') : '',
		location: v.location.length > 100 ? t('100 characters at most') : '',
		cidrs: lines(v.cidrs).map(cidrFault).find(Boolean) ?? '',
		hostnames: lines(v.hostnames).map(regexFault).find(Boolean) ?? '',
		block_list: jsonFault(v.block_list),
		seed_block_list: jsonFault(v.seed_block_list),
	};
	for (const [group, name, , min, max] of limits) {
		const n = v[keyOf(group, name)];
		errors[keyOf(group, name)] = /^\d+$/.test(n) && n >= min && n <= max ? '' : `${min} – ${max}`;
	}
	return errors;
}

const scopesOf = (v) => ({
	location: v.location.trim(), idc: lines(v.idc).join('|'), cidrs: lines(v.cidrs), hostnames: lines(v.hostnames),
});

function bodyOf(v) {
	const body = { name: v.name, bio: v.bio, is_default: v.is_default, scopes: scopesOf(v),
		scheduler_cluster_config: {}, seed_peer_cluster_config: {}, peer_cluster_config: {} };
	for (const [group, name] of limits)
		body[group][name] = Number(v[keyOf(group, name)]);
	if (v.block_list.trim())
		body.peer_cluster_config.block_list = JSON.parse(v.block_list);
	if (v.seed_block_list.trim())
		body.seed_peer_cluster_config.block_list = JSON.parse(v.seed_block_list);
	return body;
}

function Preview({ scopes, nodes, clusters, ownId }) {
	const [matching, shared] = useMemo(() => {
		const found = nodes.filter((n) => matchedBy(n, scopes)), others = clusters.filter((c) => c.id !== ownId);
		return [found, found.filter((n) => others.some((c) => matchedBy(n, c.scopes ?? {})))];
	}, [JSON.stringify(scopes), nodes, clusters, ownId]);
	return <div role="status" class="preview">
		<strong>{t('Matches')} {matching.length} / {nodes.length} {t('known nodes')}</strong>
		{shared.length > 0 && <p class="stale">{shared.length} {t('of them match another cluster too; CIDR goes before IDC, IDC before location, location before hostname.')}</p>}
		<ul>{matching.slice(0, 8).map((n) => <li key={n.id}>{n.host_name} <span class="quiet">{n.ip} · {matchedBy(n, scopes)}</span></li>)}</ul>
		{matching.length > 8 && <p class="quiet">… {matching.length - 8} {t('more')}</p>}
	</div>;
}

const shownAs = (v) => (typeof v === 'boolean' ? t(v ? 'yes' : 'no') : v || '–');

function Diff({ before, after }) {
	const changed = Object.keys(after).filter((k) => String(before[k]) !== String(after[k]));
	if (changed.length === 0)
		return <p class="quiet">{t('Nothing changes.')}</p>;
	return <table class="diff"><caption>{t('What changes')}</caption>
		<thead><tr><th scope="col">{t('Field')}</th><th scope="col">{t('Before')}</th><th scope="col">{t('After')}</th></tr></thead>
		<tbody>{changed.map((k) => <tr key={k}><th scope="row">{t(labels[k])}</th><td>{shownAs(before[k])}</td><td>{shownAs(after[k])}</td></tr>)}</tbody>
	</table>;
}

function Form({ cluster, nodes, clusters }) {
	const start = valuesOf(cluster);
	const [shown, setShown] = useState(false);
	const form = useForm(start, check, async (v) => {
		if (cluster && !shown) {
			setShown(true);
			return;
		}
		const saved = cluster ? await patch(`/api/v1/clusters/${cluster.id}`, bodyOf(v)) : await post('/api/v1/clusters', bodyOf(v));
		go(`/clusters/${saved.id ?? cluster.id}`);
	});
	const { bind } = form;
	const area = (key, label, help, rows = 3) => <Field label={label} help={help} error={form.errors[key]}>
		{(props) => <textarea {...props} rows={rows} value={form.values[key]} onInput={form.change(key)} spellcheck={false} />}</Field>;
	return <form onSubmit={form.submit} noValidate class="columns">
		<Card title={t('Information')}>
			<Field label={t('Name')} required maxLength="40" {...bind('name')} />
			<Field label={t('Description')} {...bind('bio')} />
			<label class="check"><input type="checkbox" checked={form.values.is_default} onChange={form.change('is_default')} />
				{t('Default cluster: for peers that no scope matches')}</label>
		</Card>
		<Card title={t('Scopes')}>
			<Field label={t('Location')} help={t('area|country|province|city')} {...bind('location')} />
			{area('idc', 'IDC', t('One on a line.'), 2)}
			{area('cidrs', 'CIDRs', t('One on a line, like 10.0.0.0/8.'))}
			{area('hostnames', t('Hostnames'), t('Regular expressions, one on a line.'))}
			<Preview scopes={scopesOf(form.values)} nodes={nodes} clusters={clusters} ownId={cluster?.id} />
		</Card>
		<Card title={t('Limits')}>
			{limits.map(([group, name, label, min, max, , help]) => <Field key={keyOf(group, name)} label={t(label)} help={`${t(help)} ${min} – ${max}`}
				inputMode="numeric" {...bind(keyOf(group, name))} />)}
		</Card>
		<Card title={t('Block lists')}>
			{area('block_list', t('Client'), '{"task": {"download": {"applications": [], "urls": [], "tags": [], "priorities": []}}}', 4)}
			{area('seed_block_list', t('Seed client'), t('The same, for seed peers.'), 4)}
		</Card>
		<div class="formend">
			{shown && <Diff before={start} after={form.values} />}
			{form.failure && <Failure error={form.failure} />}
			<div class="actions">
				<Link class="button" to={cluster ? `/clusters/${cluster.id}` : '/clusters'}>{t('Cancel')}</Link>
				<button class="primary" disabled={form.busy}>{!cluster || shown ? t('Save') : t('Show what changes')}</button>
			</div>
		</div>
	</form>;
}

export function ClusterForm({ id }) {
	const data = useLoad(async (signal) => {
		const [cluster, peers, clusters] = await Promise.all([
			id ? get(`/api/v1/clusters/${id}`, signal) : null,
			all('/api/v1/peers', {}, signal), all('/api/v1/clusters', {}, signal)]);
		return { cluster, nodes: peers, clusters };
	}, [id]);
	return <Page title={id ? t('Edit cluster') : t('Add cluster')}><Loaded of={data}>{(d) => <Form {...d} />}</Loaded></Page>;
}
