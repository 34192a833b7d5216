/** A shim as the engine holds it: the verbs of its socket as methods. */
import type { Duplex } from 'node:stream';
import { internal, unavailable } from '../base/errors.ts';
import type { AttachOptions, OrderTaken, PolicyChange, ShimHandle, ShimStatus, ShimWatch, StopOrder, WatchOptions } from '../core/ports/shim.ts';
import { call, request } from './client.ts';
import type { CallOptions } from './client.ts';
import { DamagedError, isSpoken, MAJOR } from './codec.ts';
import type { Fields } from './codec.ts';
import { shimName } from './naming.ts';
import { decodeStatus } from './status.ts';
import { watchShim } from './watch.ts';

/** `start` waits for the runtime. */
const RUNTIME_TIMEOUT_MS = 120_000;

export class SocketShimHandle implements ShimHandle {
  readonly dir: string;

  constructor(dir: string) {
    this.dir = dir;
  }

  async hello(options: CallOptions = {}): Promise<{ contract: string; version: string; pid: number }> {
    const answer = await request(this.dir, 'hello', {}, options);
    return this.#decode('hello', () => ({
      contract: answer.text('contract'),
      version: answer.text('version'),
      pid: answer.integer('pid'),
    }));
  }

  /** Throws `unavailable` if the shim speaks another major of the contract. */
  async requireSpoken(): Promise<void> {
    const { contract, version } = await this.hello();
    if (!isSpoken(contract)) {
      throw unavailable(`${shimName(this.dir)} (version ${version}) speaks contract ${contract}, this daemon ${MAJOR}`);
    }
  }

  async start(): Promise<number> {
    const answer = await request(this.dir, 'start', {}, { timeoutMs: RUNTIME_TIMEOUT_MS });
    return this.#decode('start', () => answer.integer('pid'));
  }

  async signal(signal: number): Promise<OrderTaken> {
    return this.#taken('signal', await request(this.dir, 'signal', { signal }));
  }

  async stop({ signal, timeoutMs }: StopOrder): Promise<OrderTaken> {
    return this.#taken('stop', await request(this.dir, 'stop', { signal, 'timeout-ms': timeoutMs }));
  }

  #taken(verb: string, answer: Fields): OrderTaken {
    const seq = this.#decode(verb, () => answer.bigint('seq', 0n));
    return { toldBy: seq === 0n ? undefined : seq };
  }

  async policy(change: PolicyChange): Promise<void> {
    await request(this.dir, 'policy', {
      restart: change.restart?.name,
      'restart-max': change.restart?.maximumRetryCount,
      'live-restore': change.liveRestore,
      'stop-signal': change.stopSignal,
      'stop-timeout-ms': change.stopTimeoutMs,
      'keep-links': change.keepLinks?.join(','),
    });
  }

  async resize(rows: number, cols: number): Promise<void> {
    await request(this.dir, 'resize', { rows, cols });
  }

  async closeStdin(): Promise<void> {
    await request(this.dir, 'close-stdin');
  }

  async logReopen(): Promise<void> {
    await request(this.dir, 'log-reopen');
  }

  async state(): Promise<ShimStatus> {
    const answer = await request(this.dir, 'state');
    return this.#decode('state', () => decodeStatus(answer));
  }

  async attach({ stdin, stdout, stderr, signal }: AttachOptions): Promise<Duplex> {
    const { socket } = await call(this.dir, 'attach', { stdin, stdout, stderr }, { signal });
    return socket;
  }

  watch(options: WatchOptions): Promise<ShimWatch> {
    return watchShim(this.dir, options);
  }

  #decode<T>(verb: string, decode: () => T): T {
    try {
      return decode();
    } catch (error) {
      if (error instanceof DamagedError) throw internal(`${shimName(this.dir)} gave an answer to ${verb} that cannot be read`, error);
      throw error;
    }
  }
}
