/**
 * A client's hijacked connection joined with a shim's stream. Output goes to the client with back-pressure between the
 * two sockets; input the other way. The container's side of a slow client is bounded by the shim (docs/shim-contract.md, 9).
 */
import type { Duplex } from 'node:stream';
import { finished } from 'node:stream/promises';
import { DetachScanner } from '../wire/detachKeys.ts';

export interface SpliceOptions {
  /** The client may write. */
  stdin: boolean;
  /** Keys that end the connection, looked for in the input; undefined: none (no terminal). */
  detachKeys: Buffer | undefined;
  /** What the end of the client's input means: the container's stdin is closed too, or the client leaves. */
  onInputEnd: 'half-close' | 'detach';
  /** What the client may ask for once its connection has ended: it ends no sooner. */
  settled?: () => Promise<void>;
}

/** Joins both until the output has ended, the client has gone, or it has detached; true for the last. */
export async function splice(client: Duplex, shim: Duplex, options: SpliceOptions): Promise<boolean> {
  let detached = false;
  const detach = (): void => {
    detached = true;
    shim.destroy();
    client.end();
  };
  // Either side's end or failure ends the other; neither may become an uncaught error.
  client.on('error', () => shim.destroy());
  client.once('close', () => shim.destroy());
  shim.on('error', () => client.destroy());
  shim.pipe(client, { end: false });
  shim.once('end', () => {
    void (options.settled?.() ?? Promise.resolve()).then(() => client.end());
  });
  const scanner = options.detachKeys === undefined ? undefined : new DetachScanner(options.detachKeys);
  client.on('data', (chunk: Buffer) => {
    if (!options.stdin || detached) return;
    const scanned = scanner === undefined ? { pass: chunk, detached: false } : scanner.scan(chunk);
    if (scanned.pass.length > 0 && shim.writable && !shim.write(scanned.pass)) {
      client.pause();
      shim.once('drain', () => client.resume());
    }
    if (scanned.detached) detach();
  });
  const inputEnded = (): void => {
    if (!options.stdin || detached) return;
    if (options.onInputEnd === 'half-close') shim.end();
    else detach();
  };
  // A client without input may have closed its side while it waited for us.
  if (client.readableEnded) inputEnded();
  else client.once('end', inputEnded);
  try {
    await finished(client, { readable: false });
  } catch {
    // The client went away in the middle: its own affair.
  }
  shim.destroy();
  client.destroy();
  return detached;
}
