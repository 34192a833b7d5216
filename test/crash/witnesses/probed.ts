/** A1, A3, B12: a published port and a name, asked every 10 ms through everything. No probe may fail. */
import assert from 'node:assert/strict';
import { eventually } from '../../fixtures/processes.ts';
import { startEcho } from '../../fixtures/echo.ts';
import { startProber } from '../../fixtures/prober.ts';
import type { Prober, ProbeTarget } from '../../fixtures/prober.ts';
import type { Stage, Witness } from './witness.ts';

const PORT = 20_400;
/** A prober does not run for ever: another takes its place. */
const SHIFT_MS = 5 * 60_000;
const INTERVAL_MS = 10;

export class Probed implements Witness {
  readonly #stage: Stage;
  #ids: string[] = [];
  #echo: Disposable | undefined;
  #probers: { readonly what: 'probes' | 'name probes'; readonly prober: Prober }[] = [];
  #since = 0;
  #targets: { readonly what: 'probes' | 'name probes'; readonly targets: ProbeTarget[]; readonly netns: string }[] = [];
  readonly counts = { probes: 0, 'probes failed': 0, 'name probes': 0, 'name probes failed': 0, 'slowest probe ms': 0 };

  constructor(stage: Stage) {
    this.#stage = stage;
  }

  async begin(): Promise<void> {
    const { daemon } = this.#stage;
    await daemon.ok('network', 'create', 'named');
    const echo = await daemon.ok('run', '-d', '--name', 'echo', '--network', 'named', '-p', `${PORT}:7`, '--restart', 'always', 'busybox', 'sleep', '60000');
    const asking = await daemon.ok('run', '-d', '--name', 'asking', '--network', 'named', 'busybox', 'sleep', '60000');
    this.#ids = [echo, asking];
    this.#echo = await startEcho([`${daemon.execRoot}/containers/${echo}/netns`], 7);
    const address = (await daemon.inspect(echo)).NetworkSettings.Networks.named.IPAddress as string;
    await eventually(async () => (await daemon.talk('tcp', '127.0.0.1', PORT)).stdout === 'hello\n', 'the port to answer');
    this.#targets = [
      { what: 'probes', netns: daemon.netns, targets: [{ kind: 'tcp', host: '127.0.0.1', port: PORT }] },
      { what: 'name probes', netns: `${daemon.execRoot}/containers/${asking}/netns`, targets: [{ kind: 'dns', host: '127.0.0.11', port: 53, name: 'echo', address }] },
    ];
    await this.#start();
  }

  async #start(): Promise<void> {
    this.#since = performance.now();
    this.#probers = this.#targets.map(({ what, targets, netns }) => ({ what, prober: startProber(targets, { netns, intervalMs: INTERVAL_MS, timeoutMs: 10_000 }) }));
    for (const { prober } of this.#probers) await prober.answered(1);
  }

  async #stop(): Promise<void> {
    for (const { what, prober } of this.#probers.splice(0)) {
      const report = await prober.stop();
      this.counts[what] += Object.values(report.answered).reduce((sum, count) => sum + count, 0);
      this.counts[`${what} failed`] += report.failed;
      this.counts['slowest probe ms'] = Math.max(this.counts['slowest probe ms'], Math.round(report.slowestMs));
      assert.deepEqual(report.failures, [], `${report.failed} ${what} failed`);
    }
  }

  async check(): Promise<void> {
    if (performance.now() - this.#since < SHIFT_MS) return;
    await this.#stop();
    await this.#start();
  }

  async end(): Promise<void> {
    await this.#stop();
    this.#echo?.[Symbol.dispose]();
    await this.#stage.daemon.ok('rm', '-f', ...this.#ids);
    await this.#stage.daemon.ok('network', 'rm', 'named');
  }

  abandon(): void {
    this.#echo?.[Symbol.dispose]();
    for (const { prober } of this.#probers) prober[Symbol.dispose]();
  }
}
