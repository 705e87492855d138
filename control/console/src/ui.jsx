// The pieces that pages are made of. Each panel has four states: loading, failed, empty, filled.
import { useEffect, useId, useRef, useState } from 'preact/hooks';
import { language, setLanguage, t } from './text.js';
import { Link, setQuery } from './route.jsx';

// Loads when deps change and, with every > 0, again and again while the page is seen.
export function useLoad(load, deps, every = 0) {
	const [state, set] = useState({ loading: true });
	const [again, setAgain] = useState(0);
	useEffect(() => {
		const stop = new AbortController();
		let timer;
		const run = async () => {
			try {
				set({ value: await load(stop.signal), at: Date.now() });
			} catch (error) {
				if (error.name !== 'AbortError')
					set((old) => ({ value: old.value, at: old.at, error }));
			}
			if (every && !stop.signal.aborted)
				timer = setTimeout(() => (document.hidden ? (timer = setTimeout(run, every)) : run()), every);
		};
		run();
		return () => {
			stop.abort();
			clearTimeout(timer);
		};
	}, [...deps, again]);
	return { ...state, reload: () => setAgain((n) => n + 1) };
}

// Something that a button does: whether it is under way, and why it failed.
export function useAction() {
	const [state, set] = useState({ busy: false });
	const run = async (action) => {
		set({ busy: true });
		try {
			await action();
			set({ busy: false });
		} catch (error) {
			set({ busy: false, error });
		}
	};
	return { ...state, run };
}

export function Failure({ error, retry }) {
	return <div class="fault" role="alert">
		<strong>{error.status === 401 || error.status === 403 ? t('You may not see this.') : t('This did not work.')}</strong>
		<p>{t(error.message)}</p>
		{retry && <button type="button" onClick={retry}>{t('Try again')}</button>}
	</div>;
}

export function Loaded({ of, children, empty }) {
	if (of.error && of.value === undefined)
		return <Failure error={of.error} retry={of.reload} />;
	if (of.value === undefined)
		return <p class="quiet" role="status">{t('Loading…')}</p>;
	return <>
		{of.error && <p class="stale" role="alert">{t('Not up to date:')} {t(of.error.message)}</p>}
		{empty && empty(of.value) ? <p class="quiet">{t('Nothing here yet.')}</p> : children(of.value)}
	</>;
}

export function Page({ title, actions, children }) {
	useEffect(() => { document.title = `${title} · Skimmer`; }, [title]);
	return <>
		<div class="head"><h1>{title}</h1><div class="actions">{actions}</div></div>
		{children}
	</>;
}

export function Card({ title, children, actions, class: name = '' }) {
	return <section class={`card ${name}`}>
		{title && <div class="cardhead"><h2>{title}</h2>{actions}</div>}
		{children}
	</section>;
}

export function Field({ label, help, error, children, ...input }) {
	const id = useId();
	const notes = [help && `${id}-help`, error && `${id}-error`].filter(Boolean).join(' ') || undefined;
	const props = { id, 'aria-describedby': notes, 'aria-invalid': error ? 'true' : undefined, ...input };
	return <div class="field">
		<label for={id}>{label}{input.required && <span class="must" aria-hidden="true"> *</span>}</label>
		{children ? children(props) : <input {...props} />}
		{help && <small id={`${id}-help`}>{help}</small>}
		{error && <small id={`${id}-error`} class="error">{error}</small>}
	</div>;
}

export function Select({ options, ...rest }) {
	return <Field {...rest}>{({ value, ...props }) => <select {...props}>
		{options.map(([key, name]) => <option key={key} value={key} selected={key === value}>{name}</option>)}
	</select>}</Field>;
}

// A page that came by plain HTTP has no navigator.clipboard.
async function copyText(text) {
	if (navigator.clipboard)
		return navigator.clipboard.writeText(text);
	const focused = document.activeElement, area = document.createElement('textarea');
	area.value = text;
	area.className = 'hidden';
	document.body.append(area);
	area.select();
	const done = document.execCommand('copy');
	area.remove();
	focused?.focus();
	if (!done)
		throw new Error('refused');
}

export function Copy({ text, label }) {
	const [said, say] = useState('');
	const copy = async () => {
		say(await copyText(text).then(() => 'Copied', () => 'Not copied: mark it and copy it by hand'));
		setTimeout(() => say(''), 2000);
	};
	return <button type="button" class="small" onClick={copy} aria-label={said ? undefined : label}>
		<span aria-live="polite">{t(said || 'Copy')}</span></button>;
}

export function Code({ text, title }) {
	return <div class="code"><div class="codehead"><span>{title}</span><Copy text={text} label={`${t('Copy')}: ${title}`} /></div>
		<pre tabIndex={0}>{text}</pre></div>;
}

// Asks before something is done that cannot be undone, and says to what; with word, it must be typed.
export function Confirm({ title, name, text, word, action, onDone, onClose }) {
	const ref = useRef();
	const [typed, setTyped] = useState('');
	const { busy, error, run } = useAction();
	useEffect(() => { ref.current.showModal(); }, []);
	const submit = (e) => {
		e.preventDefault();
		run(async () => {
			await action();
			onDone();
		});
	};
	return <dialog ref={ref} onClose={onClose} aria-label={`${title}: ${name}`}>
		<form onSubmit={submit}>
			<h2>{title}: {name}</h2>
			<p>{text}</p>
			{word && <Field label={`${t('To go on, type')} ${word}`} value={typed} autocomplete="off"
				onInput={(e) => setTyped(e.target.value)} />}
			{error && <Failure error={error} />}
			<div class="actions">
				<button type="button" onClick={() => ref.current.close()}>{t('Cancel')}</button>
				<button class="danger" disabled={busy || (word && typed !== word)}>{title}</button>
			</div>
		</form>
	</dialog>;
}

export function LanguageButton(props) {
	const other = language() === 'en' ? 'zh' : 'en';
	return <button type="button" lang={other} onClick={() => setLanguage(other)} {...props}>{{ zh: '中文', en: 'English' }[other]}</button>;
}

export const State = ({ of }) => <span class={`state ${String(of).toLowerCase()}`}>{t(String(of))}</span>;

export function Time({ at }) {
	const date = new Date(at);
	if (!at || !(date > 0)) // never, or no time
		return <span>–</span>;
	return <time dateTime={date.toISOString()} title={date.toISOString()}>{date.toLocaleString(document.documentElement.lang)}</time>;
}

export const number = (n) => Number(n).toLocaleString(language());

const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
export function bytes(n) {
	let i = 0;
	for (n = Number(n) || 0; n >= 1024 && i < units.length - 1; i++)
		n /= 1024;
	return `${n >= 100 || i === 0 ? Math.round(n) : n.toFixed(1)}\u00a0${units[i]}`;
}

// Another number each time the colours change: for what is drawn on a canvas.
export function useColours() {
	const [count, set] = useState(0);
	useEffect(() => {
		const stop = new AbortController(), more = () => set((n) => n + 1), watch = new MutationObserver(more);
		matchMedia('(prefers-color-scheme: dark)').addEventListener('change', more, { signal: stop.signal });
		watch.observe(document.documentElement, { attributeFilter: ['data-theme'] });
		return () => {
			stop.abort();
			watch.disconnect();
		};
	}, []);
	return count;
}

export const rate = (n) => (n > 0 ? `${bytes(n)}/s` : '–');

// A line of numbers, the newest at its right end.
export function Spark({ values, label }) {
	const top = Math.max(1, ...values), x = (i) => (100 * i) / 59;
	const points = values.map((v, i) => `${x(60 - values.length + i).toFixed(1)},${(29 - 28 * v / top).toFixed(1)}`);
	return <svg class="spark" viewBox="0 0 100 30" preserveAspectRatio="none" role="img" aria-label={label}>
		<polyline points={points.join(' ')} /></svg>;
}

function csv(columns, rows) {
	const cell = (v) => `"${String(v).replace(/"/g, '""').replace(/^([=+\-@])/, "'$1")}"`;
	return [columns.map((c) => cell(c.name)), ...rows.map((r) => columns.map((c) => cell(valueOf(c, r))))]
		.map((line) => line.join(',')).join('\r\n');
}

function save(name, text, type) {
	const a = document.createElement('a');
	a.href = URL.createObjectURL(new Blob([text], { type }));
	a.download = name;
	a.click();
	setTimeout(() => URL.revokeObjectURL(a.href), 1000);
}

const valueOf = (column, row) => (column.text ? column.text(row) : row[column.key]) ?? '';

function compare(a, b) {
	return typeof a === 'number' && typeof b === 'number' ? a - b : String(a).localeCompare(String(b), undefined, { numeric: true });
}

// "name" or "-name" as a column's head: pressed, it sorts by it, pressed again the other way round.
function Head({ column, by, sort, onSort }) {
	const way = by && { [by]: 'ascending', [`-${by}`]: 'descending' }[sort] || undefined;
	return <th scope="col" aria-sort={way}>
		{by ? <button type="button" class="sorter" onClick={() => onSort(way === 'ascending' ? `-${by}` : by)}>{column.name}
			<span aria-hidden="true">{{ ascending: '▲', descending: '▼' }[way] ?? '↕'}</span></button> : column.name}
	</th>;
}

function Exports({ exportAs, columns, everything }) {
	const { busy, error, run } = useAction();
	const button = (kind, type, print) => <button type="button" class="small" disabled={busy}
		onClick={() => run(async () => save(`${exportAs}.${kind.toLowerCase()}`, print(await everything()), type))}>{kind}</button>;
	return <div class="export">
		{button('CSV', 'text/csv', (rows) => csv(columns, rows))}
		{button('JSON', 'application/json', (rows) => JSON.stringify(rows, null, 2))}
		{error && <Failure error={error} />}
	</div>;
}

// columns: {key, name, show?(row), text?(row), sort?, wide?}. exportAs: the file's name; everything():
// all rows, for it. What is a page of more is sorted by the manager, by columns with sort: onSort(sort)
// asks for it. Else whatever has a key or a text is sorted here.
export function Table({ caption, columns, rows, exportAs, everything = async () => rows, sort: asked, onSort }) {
	const [own, setOwn] = useState('');
	const sort = onSort ? asked : own;
	const sorting = !onSort && columns.find((c) => own.replace(/^-/, '') === c.name);
	const shown = sorting ? [...rows].sort((a, b) => (own === sorting.name ? 1 : -1) * compare(valueOf(sorting, a), valueOf(sorting, b))) : rows;
	const by = (c) => (onSort ? c.sort : (c.key || c.text) && rows.length > 1 && c.name);
	return <>
		<div class="tablewrap" tabIndex={0} role="region" aria-label={caption}>
			<table>
				<caption class="hidden">{caption}</caption>
				<thead><tr>{columns.map((c) => <Head key={c.name} column={c} by={by(c)} sort={sort} onSort={onSort ?? setOwn} />)}</tr></thead>
				<tbody>{shown.map((row) => <tr key={row.id ?? JSON.stringify(row)}>
					{columns.map((c) => <td key={c.name} data-name={c.name} class={c.wide && 'wide'}>{c.show ? c.show(row) : String(row[c.key] ?? '') || '–'}</td>)}
				</tr>)}</tbody>
			</table>
		</div>
		{exportAs && rows.length > 0 && <Exports exportAs={exportAs} columns={columns} everything={everything} />}
	</>;
}

// total: how many rows there are in all, if that is known.
export function Pages({ page, pages, total }) {
	const at = Number(page) || 1;
	if (pages <= 1 && at === 1)
		return null;
	return <nav class="pages" aria-label={t('Pages')}>
		<button type="button" disabled={at <= 1} onClick={() => setQuery({ page: '' })}>{t('First')}</button>
		<button type="button" disabled={at <= 1} onClick={() => setQuery({ page: at - 1 })}>{t('Previous')}</button>
		<span>{at} / {pages}{total !== undefined && ` (${number(total)})`}</span>
		<button type="button" disabled={at >= pages} onClick={() => setQuery({ page: at + 1 })}>{t('Next')}</button>
		<button type="button" disabled={at >= pages} onClick={() => setQuery({ page: pages })}>{t('Last')}</button>
	</nav>;
}

// What is typed stays while the page is loaded anew, until it is meant.
function Sought({ value, onChange, ...rest }) {
	const [typed, setTyped] = useState(value);
	useEffect(() => setTyped(value), [value]);
	return <Field {...rest} type="search" value={typed} onInput={(e) => setTyped(e.target.value)}
		onChange={(e) => onChange(e.target.value.trim())} />;
}

// A line of filters that live in the address: [[key, label, options?, help?]].
export function Filters({ of, query }) {
	return <form class="filters" role="search" onSubmit={(e) => e.preventDefault()}>
		{of.map(([key, label, options, help]) => (options
			? <Select key={key} label={label} value={query[key] ?? ''} options={[['', t('All')], ...options]}
				onChange={(e) => setQuery({ [key]: e.target.value, page: '' })} />
			: <Sought key={key} label={label} help={help} value={query[key] ?? ''} onChange={(text) => setQuery({ [key]: text, page: '' })} />))}
	</form>;
}

export const Empty = ({ text, to, action }) => <div class="emptybox"><p>{text}</p>{to && <Link class="button" to={to}>{action}</Link>}</div>;

// A form's state: values, what is wrong with them, and the answer to sending them.
export function useForm(start, check, send) {
	const [values, set] = useState(start);
	const [errors, setErrors] = useState({});
	const [refused, setRefused] = useState(null);
	const { busy, error: failure, run } = useAction();
	const change = (key) => (e) => {
		const value = e?.target ? (e.target.type === 'checkbox' ? e.target.checked : e.target.value) : e;
		const next = { ...values, [key]: value };
		set(next);
		setErrors((old) => ({ ...old, [key]: check(next)[key] }));
	};
	// The first wrong field has the focus once its error is there to be read out.
	useEffect(() => refused?.form.querySelector('[aria-invalid]')?.focus(), [refused]);
	const submit = (e) => {
		e.preventDefault();
		const wrong = check(values);
		setErrors(wrong);
		if (Object.values(wrong).some(Boolean))
			setRefused({ form: e.currentTarget });
		else
			run(() => send(values));
	};
	const bind = (key) => ({ value: values[key], error: errors[key], onInput: change(key) });
	return { values, errors, failure, busy, change, submit, bind };
}
