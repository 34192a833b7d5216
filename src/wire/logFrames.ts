/** Log messages as `GET /containers/{id}/logs` sends them: one stream frame a message, raw bytes with a terminal. */
import type { LogBatch } from '../core/ports/logs.ts';

const TIME_BYTES = 30;
const HEADER_BYTES = 8;

export interface LogFrameOptions {
  tty: boolean;
  timestamps: boolean;
  details: boolean;
}

/** A whole batch in one buffer, so that it is one write. */
export function logFrames(batch: LogBatch, options: LogFrameOptions): Buffer {
  const details = options.details ? Array.from({ length: batch.count }, (_, index) => Buffer.from(detailsText(batch.attrs(index)))) : undefined;
  const header = options.tty ? 0 : HEADER_BYTES;
  const time = options.timestamps ? TIME_BYTES + 1 : 0;
  const total = batch.data.length + batch.count * (header + time) + (details?.reduce((sum, each) => sum + each.length, 0) ?? 0);
  const out = Buffer.allocUnsafe(total);
  let at = 0;
  let start = 0;
  for (let index = 0; index < batch.count; index += 1) {
    const end = batch.ends[index] ?? start;
    const detail = details?.[index];
    if (header > 0) {
      out.writeUInt32BE((batch.streams[index] ?? 1) * 0x0100_0000, at);
      out.writeUInt32BE(end - start + time + (detail?.length ?? 0), at + 4);
      at += HEADER_BYTES;
    }
    if (time > 0) {
      at += batch.times.copy(out, at, index * TIME_BYTES, (index + 1) * TIME_BYTES);
      out[at] = 0x20;
      at += 1;
    }
    if (detail !== undefined) at += detail.copy(out, at);
    at += batch.data.copy(out, at, start, end);
    start = end;
  }
  return out.subarray(0, at);
}

/** `k=v,k2=v2 `, escaped as query strings are and sorted by key (moby `stringAttrs`). */
function detailsText(attrs: Readonly<Record<string, string>> | undefined): string {
  const pairs = Object.entries(attrs ?? {}).sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, value]) => `${queryEscape(key)}=${queryEscape(value)}`);
  return `${pairs.join(',')} `;
}

const queryEscape = (text: string): string => new URLSearchParams({ x: text }).toString().slice(2);

/** One stream frame: 0 stdin, 1 stdout, 2 stderr, 3 an error of the engine's own, which clients show as one. */
export function streamFrame(stream: 0 | 1 | 2 | 3, body: Buffer): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header[0] = stream;
  header.writeUInt32BE(body.length, 4);
  return Buffer.concat([header, body]);
}
