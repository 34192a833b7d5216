/** The host's clock is stepped, by hours, while containers run: what waits goes on waiting by the time that passes, and records say what the clock said. */
import assert from 'node:assert/strict';
import { beforeEach, suite, test } from 'node:test';
import { useHost } from './host.ts';

const HOUR = 3600;
const CRASHING = ['sh', '-c', 'echo up; exit 3'];
const COUNTING = ['sh', '-c', 'i=0; while :; do i=$((i+1)); echo $i; sleep 0.5; done'];

interface Line {
  readonly seconds: number;
  readonly text: string;
}

suite('the clock is stepped', () => {
  const host = useHost({ 'live-restore': true });
  beforeEach(() => host().removeAll());

  const now = async (): Promise<number> => Number(await host().ok('date +%s'));
  const step = async (seconds: number): Promise<void> => {
    await host().ok(`date -s @$(( $(date +%s) + ${seconds} ))`);
  };

  async function lines(query: string): Promise<Line[]> {
    const text = await host().ok(`docker logs -t ${query} counter 2>&1`);
    return text.split('\n').filter((line) => line !== '').map((line) => {
      const [time = '', words = ''] = line.split(' ');
      return { seconds: Date.parse(time) / 1000, text: words };
    });
  }

  const restarts = async (name: string): Promise<number> => (await host().inspect(name)).RestartCount;
  const probes = async (): Promise<string[]> => (await host().inspect('probed')).State.Health.Log.map(({ Start }: { Start: string }) => Start);

  async function untilMoreRestarts(name: string, than: number): Promise<void> {
    await host().until(`[ "$(/opt/api GET /containers/${name}/json | grep -o '"RestartCount":[0-9]*' | cut -d: -f2)" -gt ${than} ]`);
  }

  for (const [direction, seconds] of [['back', -5 * HOUR], ['forward', 9 * HOUR]] as const) {
    test(`${direction}: restarts, probes, logs and stops go on; a new daemon sees nothing strange`, async () => {
      await host().run('crashing', CRASHING, { HostConfig: { RestartPolicy: { Name: 'always' } } });
      await host().run('probed', ['sleep', '100000'], { Healthcheck: { Test: ['CMD', 'true'], Interval: 1_000_000_000, Timeout: 60_000_000_000 } });
      await host().run('counter', COUNTING);
      await host().untilSaid('counter', '"3\\n');
      await host().until(`/opt/api GET /containers/probed/json | grep -q '"Status":"healthy"'`);
      const before = await host().runs();
      const [count, probed] = [await restarts('crashing'), await probes()];
      const steppedAt = await now();
      await step(seconds);
      const steppedTo = await now();
      assert.ok(Math.abs(steppedTo - steppedAt - seconds) < 600);

      // The back-off is a time that passes: neither skipped nor waited for by the clock.
      await untilMoreRestarts('crashing', count + 1);
      await host().until(`/opt/api GET /containers/probed/json | grep -q '"Start":"${await clockHour()}'`);
      assert.notDeepEqual(await probes(), probed);
      const { State } = await host().inspect('crashing');
      assert.ok(Math.abs(Date.parse(State.StartedAt) / 1000 - steppedTo) < HOUR, State.StartedAt);

      const said = await lines('');
      assert.deepEqual(said.map(({ text }) => Number(text)), said.map((_line, index) => index + 1));
      assert.ok(said.some((line) => Math.abs(line.seconds - steppedAt) < HOUR) && said.some((line) => Math.abs(line.seconds - steppedTo) < HOUR), 'each line has the time of its writing');
      assert.ok(said.every((line) => Math.abs(line.seconds - steppedAt) < HOUR || Math.abs(line.seconds - steppedTo) < HOUR));
      // Lines of both times stand in the file; the time that is asked for decides.
      const middle = Math.round((steppedAt + steppedTo) / 2);
      const later = await lines(`--since ${middle}`);
      assert.ok(later.length > 0 && later.every((line) => line.seconds >= middle), `since: ${later.length} lines`);
      // Reading ends with the first line that is later, as Docker's does.
      const earlier = await lines(`--until ${middle}`);
      assert.equal(earlier.length > 0, seconds > 0);
      assert.ok(earlier.every((line) => line.seconds <= middle));

      await host().crash();
      const stable = (text: string): string => text.split('\n').filter((line) => !line.startsWith('/crashing')).join('\n');
      assert.equal(stable(await host().runs()), stable(before));
      await untilMoreRestarts('crashing', await restarts('crashing'));
      const events = await host().ok(`/opt/api GET '/events?since=${steppedTo}&until=${await now()}&filters={"container":["crashing"],"event":["die"]}'`);
      assert.match(events, /"Action":"die"/);

      // A stop takes its own time, not the clock's.
      const started = performance.now();
      await host().api('POST', '/containers/counter/stop?t=2');
      assert.ok(performance.now() - started < 120_000);
      assert.equal((await host().inspect('counter')).State.ExitCode, 137);
    });
  }

  /** As far as an RFC 3339 time of now says it: `2026-01-31T2`. */
  async function clockHour(): Promise<string> {
    return host().ok('date -u +%Y-%m-%dT%H | cut -c1-12');
  }

  test('stepped while no daemon is there: what happened meanwhile has its own times', async () => {
    await host().run('counter', ['sh', '-c', `while [ ! -e /go ]; do sleep 0.2; done; echo last; exit 9`]);
    const { State } = await host().inspect('counter');
    await host().ok('systemctl stop moored.socket moored.service');
    await step(-2 * HOUR);
    const steppedTo = await now();
    await host().ok(`touch /proc/${State.Pid}/root/go`);
    await host().until(`[ ! -e /proc/${State.Pid} ]`);
    await step(30 * 60);
    await host().ok('systemctl start moored.socket moored.service');
    const after = (await host().inspect('counter')).State;
    assert.deepEqual([after.Status, after.ExitCode], ['exited', 9]);
    assert.ok(Math.abs(Date.parse(after.FinishedAt) / 1000 - steppedTo) < 25 * 60, after.FinishedAt);
    assert.equal(await host().logs('counter'), 'last');
  });
});
