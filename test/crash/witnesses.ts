/**
 * Containers that run through all crashes, each with something that only it can tell: numbers in a log, a port that answers,
 * runs that are counted, exit codes and times that are known beforehand.
 */
import assert from 'node:assert/strict';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { lines } from '../fixtures/daemon.ts';
import type { Daemon } from '../fixtures/daemon.ts';
import { eventually, startTime } from '../fixtures/processes.ts';
import type { Session } from '../fixtures/session.ts';

const COUNTER = 'i=0; while :; do i=$((i+1)); echo line $i; sleep 0.02; done';
const PORT = 20_400;

interface Event {
  readonly Action: string;
  readonly Actor: { readonly Attributes: Readonly<Record<string, string>> };
  readonly timeNano: number;
}

/** One that ends by itself, at a moment and with a code that are known. */
interface Ender {
  readonly id: string;
  readonly code: number;
  readonly delayMs: number;
  readonly removed: boolean;
}

interface ExecSession {
  readonly id: string;
  readonly code: number;
}

export class Witnesses {
  readonly #daemon: Daemon;
  readonly #random: (below: number) => number;
  #steady: { id: string; paused: boolean; state: unknown; born: string | undefined; restarts: number }[] = [];
  #restarter = '';
  #counter = '';
  #prober: Session | undefined;
  #enders: Ender[] = [];
  #execs: ExecSession[] = [];
  /** What was checked so far. */
  readonly counts = { lines: 0, ends: 0, execs: 0, restarts: 0, probes: 0 };

  constructor(daemon: Daemon, random: (below: number) => number) {
    this.#daemon = daemon;
    this.#random = random;
  }

  async begin(): Promise<void> {
    const daemon = this.#daemon;
    const run = (...args: string[]): Promise<string> => daemon.ok('run', '-d', ...args);
    this.#counter = await run('--name', 'counter', 'busybox', 'sh', '-c', COUNTER);
    const echo = await run('--name', 'echo', '-p', `${PORT}:7`, '--restart', 'always', 'busybox', 'nc', '-ll', '-p', '7', '-e', 'cat');
    const paused = await run('--name', 'paused', 'busybox', 'sleep', '6000');
    await daemon.ok('pause', paused);
    this.#restarter = await run('--name', 'restarter', '--restart', 'always', 'busybox', 'sh', '-c', 'echo run; sleep 0.6; exit 7');
    for (const id of [this.#counter, echo, paused]) {
      const { State, RestartCount } = await daemon.inspect(id);
      this.#steady.push({ id, paused: id === paused, state: State, born: startTime(State.Pid), restarts: RestartCount });
    }
    await eventually(async () => (await daemon.talk('tcp', '127.0.0.1', PORT)).stdout === 'hello\n', 'the port to answer');
    const stop = path.join(daemon.dir, 'stop-probing');
    rmSync(stop, { force: true });
    const loop = `n=0; while [ ! -e ${stop} ]; do n=$((n+1)); [ "$(echo x | busybox nc -w 5 127.0.0.1 ${PORT})" = x ] || echo "probe $n failed"; busybox usleep 50000; done; echo "$n probes"`;
    this.#prober = daemon.sessionInside(['busybox', 'sh', '-c', loop]);
  }

  /** Before a crash: containers and sessions that end around it. */
  async work(): Promise<void> {
    const daemon = this.#daemon;
    try {
      const code = 1 + this.#random(120);
      const delayMs = this.#random(1200);
      const removed = this.#random(4) === 0;
      const { status, text } = await daemon.request('POST', '/containers/create', {
        body: { Image: 'busybox', Cmd: ['sh', '-c', `sleep ${delayMs / 1000}; echo bye ${code}; exit ${code}`], HostConfig: { AutoRemove: removed } },
      });
      if (status !== 201) return;
      const id = (JSON.parse(text) as { Id: string }).Id;
      if ((await daemon.request('POST', `/containers/${id}/start`)).status === 204) this.#enders.push({ id, code, delayMs, removed });
      const sessionCode = 1 + this.#random(120);
      const exec = (await daemon.request('POST', `/containers/${this.#counter}/exec`, { body: { Cmd: ['sh', '-c', `sleep ${this.#random(900) / 1000}; exit ${sessionCode}`] } })).json() as { Id: string };
      if ((await daemon.request('POST', `/exec/${exec.Id}/start`, { body: { Detach: true } })).status === 200) this.#execs.push({ id: exec.Id, code: sessionCode });
    } catch {
      // The daemon died meanwhile: what was not answered is not counted on.
    }
  }

  /** After a start. */
  async check(): Promise<void> {
    for (const { id, paused, state, born, restarts } of this.#steady) {
      const { State, RestartCount } = await this.#daemon.inspect(id);
      assert.equal(startTime(State.Pid as number), born);
      assert.equal(RestartCount, restarts);
      assert.deepEqual(State, state, `${paused ? 'the paused' : 'a'} container is not as it was`);
    }
    for (const ender of this.#enders.splice(0)) await this.#checkEnder(ender);
    for (const { id, code } of this.#execs.splice(0)) {
      const found = await eventually(async () => {
        const answer = await this.#daemon.request('GET', `/exec/${id}/json`);
        assert.equal(answer.status, 200, `an exec session is lost: ${answer.text}`);
        const session = answer.json() as { Running: boolean; ExitCode: number | null };
        return session.Running ? undefined : session;
      }, 'the end of an exec session');
      assert.equal(found.ExitCode, code, 'the exit code of an exec session');
      this.counts.execs += 1;
    }
  }

  async #checkEnder({ id, code, delayMs, removed }: Ender): Promise<void> {
    const daemon = this.#daemon;
    if (removed) {
      await eventually(async () => (await daemon.request('GET', `/containers/${id}/json`)).status === 404, 'a --rm container to be removed');
    } else {
      const State = (await daemon.untilState(id, ({ Status }) => Status === 'exited')) as { ExitCode: number; StartedAt: string; FinishedAt: string };
      assert.equal(State.ExitCode, code, 'the exit code');
      const lasted = Date.parse(State.FinishedAt) - Date.parse(State.StartedAt);
      assert.ok(lasted >= delayMs - 50 && lasted < delayMs + 5000, `it lasted ${lasted} ms instead of ${delayMs}`);
      assert.equal(await daemon.ok('logs', id), `bye ${code}`);
      await daemon.ok('rm', id);
    }
    const events = await this.#history(id);
    const of = (action: string): Event[] => events.filter(({ Action }) => Action === action);
    assert.equal(of('start').length, 1, `${of('start').length} starts were told`);
    assert.deepEqual(of('die').map(({ Actor }) => Actor.Attributes['exitCode']), [String(code)]);
    this.counts.ends += 1;
  }

  /** At the end, with a daemon that has not died since. */
  async end(): Promise<void> {
    const daemon = this.#daemon;
    writeFileSync(path.join(daemon.dir, 'stop-probing'), '');
    const { stdout } = (await this.#prober?.result()) ?? { stdout: '' };
    assert.match(stdout, /^\d+ probes\n$/, 'a probe of the published port failed');
    this.counts.probes = Number.parseInt(stdout, 10);

    const numbers = lines(await daemon.ok('logs', 'counter')).map((line) => Number(line.split(' ')[1]));
    assert.deepEqual(numbers, numbers.map((_, index) => index + 1), 'the log has a gap or a line twice');
    this.counts.lines = numbers.length;

    await daemon.ok('stop', '-t', '5', 'restarter');
    const { RestartCount, State } = await daemon.inspect('restarter');
    const runs = lines(await daemon.ok('logs', 'restarter')).length;
    const events = await this.#history(this.#restarter);
    const starts = events.filter(({ Action }) => Action === 'start').length;
    const dies = events.filter(({ Action }) => Action === 'die');
    assert.equal(State.Running, false);
    assert.equal(starts, RestartCount + 1, 'starts told and restarts counted');
    assert.equal(dies.length, starts, 'every start has its end');
    assert.ok(runs === starts || runs === starts - 1, `${runs} runs in the log, ${starts} starts`);
    assert.ok(dies.slice(0, -1).every(({ Actor }) => Actor.Attributes['exitCode'] === '7'));
    this.counts.restarts = RestartCount;
    await daemon.ok('rm', '-f', 'counter', 'echo', 'paused', 'restarter');
  }

  async #history(id: string): Promise<Event[]> {
    const filters = encodeURIComponent(JSON.stringify({ container: [id] }));
    const { text } = await this.#daemon.request('GET', `/events?since=1&until=${Math.ceil(Date.now() / 1000) + 1}&filters=${filters}`);
    return lines(text).map((line) => JSON.parse(line) as Event);
  }

  /** Stops what would go on without a daemon. */
  abandon(): void {
    const { dir } = this.#daemon;
    if (existsSync(dir)) writeFileSync(path.join(dir, 'stop-probing'), '');
  }
}
