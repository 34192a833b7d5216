/** The measurements: each takes a running daemon and gives one figure. */
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';
import type { Daemon } from '../test/fixtures/daemon.ts';
import { eventually } from '../test/fixtures/processes.ts';

export const median = (values: readonly number[]): number => percentile(values, 0.5);

export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** Milliseconds that `body` takes, the median of `rounds`; `after` is not measured. */
export async function timed(rounds: number, body: (round: number) => Promise<unknown>, after: (round: number) => Promise<unknown> = () => Promise.resolve()): Promise<number> {
  const times: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const started = performance.now();
    await body(round);
    times.push(performance.now() - started);
    await after(round);
  }
  return median(times);
}

/** KiB of PSS of all processes in the daemon's network namespace: daemon, shims, proxies; no container. */
export function memory(daemon: Daemon): number {
  const wanted = readlinkSync(`/proc/${daemon.pid}/ns/net`);
  let sum = 0;
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      if (readlinkSync(`/proc/${pid}/ns/net`) !== wanted) continue;
      sum += Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1] ?? 0);
    } catch {
      // It has ended.
    }
  }
  return sum;
}

/** Starts `count` containers with a published port, one after another, through the API. Milliseconds. */
export async function fleet(daemon: Daemon, count: number): Promise<number> {
  const started = performance.now();
  for (let index = 0; index < count; index += 1) {
    const body = { Image: 'busybox', Cmd: ['sleep', '3600'], HostConfig: { PortBindings: { '80/tcp': [{ HostPort: String(30_000 + index) }] } } };
    const created = await daemon.request('POST', `/containers/create?name=fleet-${index}`, { body });
    const answer = await daemon.request('POST', `/containers/fleet-${index}/start`);
    if (answer.status !== 204) throw new Error(`${created.text} ${answer.text}`);
  }
  return performance.now() - started;
}

/** From the start of the program until `docker ps` shows `count` containers, after a kill -9. Milliseconds. */
export async function comeback(daemon: Daemon, count: number): Promise<number> {
  await daemon.kill9();
  const started = performance.now();
  await daemon.start();
  await eventually(async () => (await daemon.ok('ps', '-q')).split('\n').length === count, `${count} containers`, 120_000);
  return performance.now() - started;
}

/** Milliseconds of GET /containers/json: the median and the 99th percentile. */
export async function listing(daemon: Daemon, rounds: number): Promise<[number, number]> {
  const times: number[] = [];
  for (let round = 0; round < rounds; round += 1) times.push(await timed(1, () => daemon.request('GET', '/containers/json')));
  return [median(times), percentile(times, 0.99)];
}

/** MB/s of a container that writes `megabytes` of 71-byte lines, until its log is complete. */
export async function logRate(daemon: Daemon, megabytes: number): Promise<number> {
  // Written beforehand: the writer must not be what is measured.
  await daemon.ok('run', '--rm', '-v', 'lines:/lines', 'busybox', 'sh', '-c', `yes ${'x'.repeat(70)} | head -n 281690 > /lines/file`);
  const times = Math.round(megabytes / 20);
  const id = await daemon.ok('create', '-v', 'lines:/lines', 'busybox', 'sh', '-c', `for i in $(seq ${times}); do cat /lines/file; done`);
  const started = performance.now();
  await daemon.ok('start', id);
  await daemon.ok('wait', id);
  const seconds = (performance.now() - started) / 1000;
  await daemon.ok('rm', id);
  await daemon.ok('volume', 'rm', 'lines');
  return (times * 20) / seconds;
}
