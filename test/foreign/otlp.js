// What a collector was sent, as OpenTelemetry's own generated code reads it:
//   node otlp.js FILE...   each an ExportTraceServiceRequest; prints one JSON list of spans.
"use strict";
const fs = require("fs");
const path = require("path");
// The package exports no more than its serializers; its generated code is a file of it.
const folder = path.dirname(require.resolve("@opentelemetry/otlp-transformer"));
const root = require(path.join(folder, "generated/root.js"));
const Request = root.opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest;

function hex(bytes) {
  return Buffer.from(bytes || []).toString("hex");
}

function values(attributes) {
  const out = {};
  for (const { key, value } of attributes || []) {
    if (value.stringValue !== undefined && value.stringValue !== null) out[key] = value.stringValue;
    else if (value.intValue !== undefined && value.intValue !== null) out[key] = Number(value.intValue);
    else throw new Error(`attribute ${key} has no value`);
  }
  return out;
}

const spans = [];
for (const file of process.argv.slice(2)) {
  const request = Request.decode(fs.readFileSync(file));
  if (!request.resourceSpans.length) throw new Error(`${file} holds no spans`);
  for (const { resource, scopeSpans } of request.resourceSpans) {
    const of = values(resource.attributes);
    for (const { scope, spans: list } of scopeSpans) {
      for (const s of list) {
        spans.push({
          resource: of, scope: scope.name, name: s.name, kind: s.kind,
          trace: hex(s.traceId), id: hex(s.spanId), parent: hex(s.parentSpanId),
          start: String(s.startTimeUnixNano), end: String(s.endTimeUnixNano),
          attributes: values(s.attributes),
          links: (s.links || []).map((l) => ({ trace: hex(l.traceId), id: hex(l.spanId) })),
          error: s.status && s.status.code === 2 ? s.status.message || "?" : null,
        });
      }
    }
  }
}
console.log(JSON.stringify(spans));
