// The newest of a stream of server-sent events. The stream is closed while nobody sees the page; it
// ends by itself each minute and is taken up again by the browser, which is no failure. A refused
// stream is not taken up by the browser: then it is asked once for the value, and again later.
import { useEffect, useState } from 'preact/hooks';
import { ApiError, get } from './api.js';

const patience = 5000;

export function useEvents(path) {
	const [state, set] = useState({});
	const [again, setAgain] = useState(0);
	useEffect(() => {
		let source, late, stop;
		const fail = (error) => set((old) => ({ ...old, error }));
		const wait = () => {
			clearTimeout(late);
			late = setTimeout(() => fail(new ApiError(0, 'The manager cannot be reached.')), patience);
		};
		const close = () => {
			clearTimeout(late);
			source?.close();
			stop?.abort();
		};
		const askOnce = async (signal) => {
			clearTimeout(late);
			try {
				set({ value: await get(path, signal), at: Date.now() });
			} catch (error) {
				if (!signal.aborted)
					fail(error);
			}
			if (!signal.aborted)
				late = setTimeout(open, patience);
		};
		const open = () => {
			wait();
			stop = new AbortController();
			source = new EventSource(`${path}/events`);
			source.onmessage = (e) => {
				wait();
				set({ value: JSON.parse(e.data), at: Date.now() });
			};
			source.onerror = () => {
				if (source.readyState === EventSource.CLOSED)
					askOnce(stop.signal);
			};
		};
		const seen = () => {
			close();
			if (!document.hidden)
				open();
		};
		document.addEventListener('visibilitychange', seen);
		seen();
		return () => {
			document.removeEventListener('visibilitychange', seen);
			close();
		};
	}, [path, again]);
	return { ...state, reload: () => setAgain((n) => n + 1) };
}

// The last minute of a number, one a second: what is drawn as a line.
export function useHistory(value, at, length = 60) {
	const [history, set] = useState([]);
	useEffect(() => {
		if (at)
			set((old) => [...old.slice(1 - length), value]);
	}, [at]);
	return history;
}
