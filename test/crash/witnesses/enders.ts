/** B2, B4: containers and exec sessions that end by themselves, at a moment and with a code that are known. */
import assert from 'node:assert/strict';
import { eventually } from '../../fixtures/processes.ts';
import { history } from '../history.ts';
import type { Stage, Witness } from './witness.ts';

interface Ender {
  readonly id: string;
  readonly code: number;
  readonly delayMs: number;
  /** With `--rm`. */
  readonly removed: boolean;
}

export class Enders implements Witness {
  readonly #stage: Stage;
  #host = '';
  #enders: Ender[] = [];
  #sessions: { readonly id: string; readonly code: number }[] = [];
  readonly counts = { ends: 0, sessions: 0 };

  constructor(stage: Stage) {
    this.#stage = stage;
  }

  async begin(): Promise<void> {
    this.#host = await this.#stage.daemon.ok('run', '-d', '--name', 'sessions', 'busybox', 'sleep', '60000');
  }

  async work(): Promise<void> {
    const { daemon, random } = this.#stage;
    try {
      const code = 1 + random(120);
      const delayMs = random(1200);
      const removed = random(4) === 0;
      const { status, text } = await daemon.request('POST', '/containers/create', {
        body: { Image: 'busybox', Cmd: ['sh', '-c', `sleep ${delayMs / 1000}; echo bye ${code}; exit ${code}`], HostConfig: { AutoRemove: removed } },
      });
      if (status !== 201) return;
      const { Id: id } = JSON.parse(text) as { Id: string };
      if ((await daemon.request('POST', `/containers/${id}/start`)).status === 204) this.#enders.push({ id, code, delayMs, removed });
      const sessionCode = 1 + random(120);
      const exec = (await daemon.request('POST', `/containers/${this.#host}/exec`, { body: { Cmd: ['sh', '-c', `sleep ${random(900) / 1000}; exit ${sessionCode}`] } })).json() as { Id: string };
      if ((await daemon.request('POST', `/exec/${exec.Id}/start`, { body: { Detach: true } })).status === 200) this.#sessions.push({ id: exec.Id, code: sessionCode });
    } catch {
      // The daemon died meanwhile.
    }
  }

  async check(): Promise<void> {
    for (const ender of this.#enders.splice(0)) await this.#checkEnder(ender);
    for (const { id, code } of this.#sessions.splice(0)) {
      const found = await eventually(async () => {
        const answer = await this.#stage.daemon.request('GET', `/exec/${id}/json`);
        assert.equal(answer.status, 200, `an exec session is lost: ${answer.text}`);
        const session = answer.json() as { Running: boolean; ExitCode: number | null };
        return session.Running ? undefined : session;
      }, 'the end of an exec session');
      assert.equal(found.ExitCode, code, 'the exit code of an exec session');
      this.counts.sessions += 1;
    }
  }

  async #checkEnder({ id, code, delayMs, removed }: Ender): Promise<void> {
    const { daemon } = this.#stage;
    if (removed) {
      await eventually(async () => (await daemon.request('GET', `/containers/${id}/json`)).status === 404, 'a --rm container to be removed');
    } else {
      const State = (await daemon.untilState(id, ({ Status }) => Status === 'exited')) as { ExitCode: number; StartedAt: string; FinishedAt: string };
      assert.equal(State.ExitCode, code, 'the exit code');
      const lasted = Date.parse(State.FinishedAt) - Date.parse(State.StartedAt);
      assert.ok(lasted >= delayMs - 50 && lasted < delayMs + 8000, `it lasted ${lasted} ms instead of ${delayMs}`);
      assert.equal(await daemon.ok('logs', id), `bye ${code}`);
      await daemon.ok('rm', id);
    }
    const events = await history(daemon, { container: [id], type: ['container'] });
    assert.equal(events.filter(({ Action }) => Action === 'start').length, 1, 'starts were told');
    assert.deepEqual(events.filter(({ Action }) => Action === 'die').map(({ Actor }) => Actor.Attributes['exitCode']), [String(code)]);
    this.counts.ends += 1;
  }

  async end(): Promise<void> {
    await this.#stage.daemon.ok('rm', '-f', this.#host);
  }
}
