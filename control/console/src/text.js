// What the pages say. The English text is the key; a language is a table of translations; a text that
// is not in it is shown in English.
import { zh, zhStates } from './zh.js';

const tables = { en: {}, zh: { ...zhStates, ...zh } };

export function language() {
	const kept = localStorage.getItem('language');
	return kept in tables ? kept : navigator.language.startsWith('zh') ? 'zh' : 'en';
}

export function setLanguage(to) {
	localStorage.setItem('language', to);
	document.documentElement.lang = to;
	dispatchEvent(new Event('languagechange-console'));
}

export const t = (text) => tables[language()][text] ?? text;
