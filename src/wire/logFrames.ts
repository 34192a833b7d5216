/** Log messages as `GET /containers/{id}/logs` sends them: one stream frame a message, raw bytes with a terminal. */
import type { LogAttrs, LogShape } from '../core/ports/logs.ts';

const HEADER_BYTES = 8;

export interface LogFrameOptions {
  tty: boolean;
  timestamps: boolean;
  details: boolean;
}

export const logShape = ({ tty, timestamps, details }: LogFrameOptions): LogShape => ({ framed: !tty, timestamps, details: details ? detailsText : undefined });

/** `k=v,k2=v2 `, escaped as query strings are and sorted by key (moby `stringAttrs`). */
function detailsText(attrs: LogAttrs | undefined): string {
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
