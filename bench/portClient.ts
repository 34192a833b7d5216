/**
 * A client of ports, run in some network namespace; prints one JSON line with its samples.
 *
 * - `portClient.ts throughput HOST PORT SECONDS`: reads as fast as it can; MB/s.
 * - `portClient.ts echo HOST PORT COUNT`: round trips of one byte on one connection; ms each.
 * - `portClient.ts connect HOST PORT COUNT`: connect and first byte back; ms each.
 * - `portClient.ts probe HOST PORT`: an HTTP request every 10 ms until standard input ends; 1 for each that was answered within a
 *   second, 0 for each other. Says `probing` first, on a line of its own.
 */
import { once } from 'node:events';
import net from 'node:net';

const [what = '', host = '', port = '', amount = '1'] = process.argv.slice(2);

/** Any server answers to this. */
const REQUEST = 'GET / HTTP/1.0\r\n\r\n';

const open = async (): Promise<net.Socket> => {
  const socket = net.connect({ host, port: Number(port), noDelay: true });
  socket.setTimeout(10_000, () => socket.destroy(new Error('nothing came for 10 s')));
  await once(socket, 'connect');
  return socket;
};

async function throughput(seconds: number): Promise<number[]> {
  const socket = await open();
  let received = 0;
  socket.on('data', (chunk: Buffer) => {
    received += chunk.length;
  });
  const began = performance.now();
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  const rate = received / 1000 / (performance.now() - began);
  socket.destroy();
  return [rate];
}

async function echo(count: number): Promise<number[]> {
  const socket = await open();
  const times: number[] = [];
  for (let index = 0; index < count; index += 1) {
    const began = performance.now();
    socket.write('x');
    await once(socket, 'data');
    times.push(performance.now() - began);
  }
  socket.destroy();
  return times;
}

async function connect(count: number): Promise<number[]> {
  const times: number[] = [];
  for (let index = 0; index < count; index += 1) {
    const began = performance.now();
    const socket = await open();
    socket.write(REQUEST);
    await once(socket, 'data');
    times.push(performance.now() - began);
    socket.destroy();
  }
  return times;
}

const EVERY_MS = 10;
const PATIENCE_MS = 1000;

async function probe(): Promise<number[]> {
  const probes: Promise<number>[] = [];
  const timer = setInterval(() => probes.push(one()), EVERY_MS);
  process.stdout.write('probing\n');
  process.stdin.resume();
  await once(process.stdin, 'end');
  clearInterval(timer);
  return Promise.all(probes);
}

/** 1: a byte came back. */
function one(): Promise<number> {
  return new Promise((resolve) => {
    const socket = net.connect({ host, port: Number(port) }, () => socket.write(REQUEST));
    const timer = setTimeout(() => finish(0), PATIENCE_MS);
    const finish = (outcome: number): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(outcome);
    };
    socket.on('data', () => finish(1));
    socket.on('end', () => finish(0));
    socket.on('error', () => finish(0));
  });
}

const WORK: Readonly<Record<string, (amount: number) => Promise<number[]>>> = { throughput, echo, connect, probe };
const samples = await WORK[what]?.(Number(amount));
if (samples === undefined) throw new Error(`unknown work: ${what}`);
process.stdout.write(`${JSON.stringify(samples)}\n`);
