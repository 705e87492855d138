// gRPC by @grpc/grpc-js and the project's own .proto files: clients whose calls are promises, and
// streams that are read message by message.
'use strict';
const assert = require('node:assert/strict');
const path = require('node:path');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const DEADLINE_MS = 30000;
const PROTO = path.join(__dirname, '../../proto');

const definitions = loader.loadSync(
	['scheduler_v2.proto', 'manager_v2.proto', 'dfdaemon_v2.proto', 'health_v1.proto'], {
		keepCase: true, longs: String, enums: String, bytes: Buffer, defaults: true, oneofs: true,
		includeDirs: [PROTO, process.env.PROTOBUF_INCLUDE || '/usr/include'],
	});
const packages = grpc.loadPackageDefinition(definitions);

function deadline() {
	return Date.now() + DEADLINE_MS;
}

// A stream whose messages are taken one by one.
class Stream {
	constructor(call, on_status) {
		this.call = call;
		this.messages = [];
		this.waiting = [];
		this.status = null;
		call.on('data', (m) => this.put(m));
		call.on('error', () => {}); // the status says it
		call.on('status', (s) => { this.status = s; on_status(s); this.put(null); });
	}

	put(m) {
		this.messages.push(m);
		while (this.waiting.length && this.messages.length)
			this.waiting.shift()(this.messages.shift());
	}

	send(m) {
		this.call.write(m);
	}

	// The next message; null at the end.
	next() {
		if (this.messages.length)
			return Promise.resolve(this.messages.shift());
		if (this.status)
			return Promise.resolve(null);
		return new Promise((resolve, reject) => {
			const timer = setTimeout(() => reject(new Error('no message in time')), DEADLINE_MS);
			this.waiting.push((m) => { clearTimeout(timer); resolve(m); });
		});
	}

	async end_code() {
		for (let m; (m = await this.next()) !== null;)
			assert.fail(`an unexpected message: ${JSON.stringify(m)}`);
		return this.status.code;
	}
}

// A service at an address. call(name, request) resolves to the answer, fails(name, request) to the
// code it is refused with; every method that was called is noted in driven.
class Service {
	constructor(type, address) {
		this.definition = type.service;
		this.client = new type(address, grpc.credentials.createInsecure());
		this.driven = new Set();
	}

	call(name, request) {
		this.driven.add(name);
		return new Promise((resolve, reject) => this.client[name](request, { deadline: deadline() },
			(e, answer) => (e ? reject(e) : resolve(answer))));
	}

	async fails(name, request) {
		try {
			await this.call(name, request);
		} catch (e) {
			return e.code;
		}
		return assert.fail(`${name} is not refused`);
	}

	stream(name) {
		this.driven.add(name);
		return new Stream(this.client[name](), () => {});
	}

	// A client stream: messages, then one answer.
	client_stream(name) {
		this.driven.add(name);
		const out = {};
		out.answer = new Promise((resolve, reject) => {
			out.call = this.client[name]((e, answer) => (e ? reject(e) : resolve(answer)));
		});
		out.answer.catch(() => {}); // asked for when the stream is ended
		return out;
	}

	// What is not driven must not be served: whoever serves it drives it here.
	async check_rest() {
		for (const [name, method] of Object.entries(this.definition)) {
			if (this.driven.has(name))
				continue;
			const code = method.requestStream ? await this.stream_code(name) : await this.fails(name, {});
			assert.equal(code, grpc.status.UNIMPLEMENTED, `${name} is served, but not tested here`);
		}
	}

	async stream_code(name) {
		const s = this.stream(name);
		s.send({});
		return s.end_code();
	}

	close() {
		this.client.close();
	}
}

// A wall time of the last minutes.
function is_recent(timestamp) {
	const s = Number(timestamp.seconds);
	assert.ok(Math.abs(Date.now() / 1000 - s) < 600, `not a time of now: ${s}`);
}

async function wait_for(what, probe, time_ms = DEADLINE_MS) {
	for (const end = Date.now() + time_ms; ;) {
		const value = await probe();
		if (value)
			return value;
		if (Date.now() > end)
			throw new Error(`${what}: not in time`);
		await new Promise((resolve) => { setTimeout(resolve, 20); });
	}
}

module.exports = { assert, grpc, packages, Service, is_recent, wait_for };
