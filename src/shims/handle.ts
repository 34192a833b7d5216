/** A shim as the engine holds it: the verbs of its socket as methods. */
import { closeSync } from 'node:fs';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { internal, unavailable } from '../base/errors.ts';
import type { AttachOptions, OrderTaken, PolicyChange, PortOrder, ShimHandle, ShimStatus, ShimWatch, StopOrder, WatchOptions } from '../core/ports/shim.ts';
import { requestFds } from '../sys/receiveFds.ts';
import { ANSWER_TIMEOUT_MS, call, decodeAnswer, request } from './client.ts';
import type { CallOptions, Pairs } from './client.ts';
import { DamagedError, encodePairs, isSpoken, MAJOR } from './codec.ts';
import type { Fields } from './codec.ts';
import { shimName } from './naming.ts';
import { SOCKET_NAME } from './socket.ts';
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

  hold(sockets: readonly { readonly fd: number; readonly name: string }[]): Promise<boolean> {
    return this.#give('hold', { sockets: sockets.map(({ name }) => name).join(',') }, sockets.map(({ fd }) => fd));
  }

  port(order: PortOrder): Promise<boolean> {
    const { proto, host, hostPort, use, fd } = order;
    const target = order.use === 'reserve' ? {} : { address: order.address, port: order.port };
    return this.#give('port', { proto, host, 'host-port': hostPort, use, ...target }, fd === undefined ? [] : [fd]);
  }

  /** An order that descriptors go with; contract 1.0 has none. */
  async #give(verb: string, pairs: Pairs, fds: readonly number[]): Promise<boolean> {
    if ((await this.hello()).contract === '1.0') return false;
    const { line, fds: unasked } = await requestFds(join(this.dir, SOCKET_NAME), `${verb}${encodePairs(pairs)}\n`, { timeoutMs: ANSWER_TIMEOUT_MS, fds });
    for (const fd of unasked) closeSync(fd);
    this.#decode(verb, () => decodeAnswer(line, this.dir, verb));
    return true;
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
