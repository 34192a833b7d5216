/** Requests under load: many clients at once, events while containers come and go. */
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Engine } from '../engine.ts';
import type { Measurement, Row, Sampler } from '../rows.ts';
import { inParallel, repeat, upTo } from '../work.ts';

const CLIENTS = [1, 4, 16, 64] as const;
const LISTED = 20;

export const requests: Measurement = {
  name: 'requests',
  about: `events while four clients start and remove containers; GET /containers/json with ${LISTED} by 1 … 64 clients at once`,
  minutes: 3,
  rows: [
    { id: 'events.p50', title: 'event, from its time to the client, under load, p50', unit: 'ms', series: 'events' },
    { id: 'events.p99', title: 'event, from its time to the client, under load, p99', unit: 'ms', series: 'events', take: 'p99' },
    ...CLIENTS.map((x): Row => ({ id: `clients-${x}`, title: `GET /containers/json with ${LISTED}, ${x} clients at once`, unit: '1/s', curve: { name: 'GET /containers/json, by clients at once', x } })),
  ],
  async measure(engine, sampler) {
    await eventsUnderLoad(engine, sampler);
    await repeat(sampler.fleet(LISTED), (index) => engine.run(`listed-${index}`, ['sleep', '36000'], { host: { NetworkMode: 'none' } }));
    const seconds = Math.max(0.2, sampler.data(20) / 10);
    for (const clients of CLIENTS) sampler.record(`clients-${clients}`, await rate(engine, clients, seconds));
    await engine.removeContainers();
  },
};

/** Requests answered per second, `clients` of them going on at any time. */
async function rate(engine: Engine, clients: number, seconds: number): Promise<number> {
  const end = performance.now() + seconds * 1000;
  let answered = 0;
  await Promise.all(upTo(clients).map(async () => {
    while (performance.now() < end) {
      await engine.api('GET', '/containers/json');
      answered += 1;
    }
  }));
  return answered / seconds;
}

/** Milliseconds from the time that an event says to its arrival. */
async function eventsUnderLoad(engine: Engine, { rounds, record }: Sampler): Promise<void> {
  const stream = await engine.daemon.openRequest('GET', '/events');
  let rest = '';
  let last = '';
  stream.setEncoding('utf8').on('data', (chunk: string) => {
    const arrived = performance.timeOrigin + performance.now();
    const parts = `${rest}${chunk}`.split('\n');
    rest = parts.pop() ?? '';
    for (const line of parts.filter((part) => part !== '')) {
      const nanoseconds = /"timeNano":(\d+)/.exec(line)?.[1];
      // More digits than a double holds: taken apart.
      if (nanoseconds !== undefined) record('events', Math.max(0, arrived - Number(nanoseconds.slice(0, -3)) / 1000));
      last = line;
    }
  });
  try {
    await inParallel(4, upTo(rounds * 4), async (index) => {
      const id = await engine.run(`eventful-${index}`, ['sleep', '600']);
      await engine.api('DELETE', `/containers/${id}?force=1`);
    });
    const final = await engine.run('the-last', ['true'], { host: { NetworkMode: 'none' } });
    await engine.api('POST', `/containers/${final}/wait`);
    for (let waited = 0; !last.includes(final) && waited < 5000; waited += 10) await sleep(10);
    await engine.api('DELETE', `/containers/${final}?force=1`);
  } finally {
    stream.destroy();
    if (!stream.closed) await once(stream, 'close', { signal: AbortSignal.timeout(5000) });
  }
}
