/** The commands that people type, through the docker client. */
import { ratioAtMost } from '../rows.ts';
import type { Measurement } from '../rows.ts';
import { repeat, timed } from '../work.ts';

export const commands: Measurement = {
  name: 'commands',
  about: 'docker run --rm, run -d, exec, rm, as a client sees them',
  passes: 2,
  minutes: 3,
  rows: [
    { id: 'run.bridge', title: 'docker run --rm', unit: 'ms', ...ratioAtMost(0.3) },
    { id: 'run.none', title: 'docker run --rm --network none', unit: 'ms', ...ratioAtMost(0.3) },
    { id: 'run.detached', title: 'docker run -d', unit: 'ms', ...ratioAtMost(0.3) },
    { id: 'exec', title: 'docker exec', unit: 'ms' },
    { id: 'rm', title: 'docker rm -f', unit: 'ms' },
    { id: 'client', title: 'docker version: the client alone', unit: 'ms' },
  ],
  async measure(engine, { rounds, record }) {
    await engine.cli(['run', '--rm', 'busybox', 'true']);
    await repeat(rounds, async (round) => {
      const name = `round${round}`;
      record('run.bridge', await timed(() => engine.cli(['run', '--rm', 'busybox', 'true'])));
      record('run.none', await timed(() => engine.cli(['run', '--rm', '--network', 'none', 'busybox', 'true'])));
      record('run.detached', await timed(() => engine.cli(['run', '-d', '--name', name, 'busybox', 'sleep', '600'])));
      record('exec', await timed(() => engine.cli(['exec', name, 'true'])));
      record('rm', await timed(() => engine.cli(['rm', '-f', name])));
      record('client', await timed(() => engine.cli(['version'])));
    });
  },
};
