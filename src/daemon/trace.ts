/** `moored trace`: where the time of an operation goes, as the daemon saw it. */
import http from 'node:http';
import type { IncomingMessage } from 'node:http';
import { invalid, messageOf, unavailable } from '../base/errors.ts';
import type { Step } from '../base/trace.ts';
import { passThrough } from '../sys/spawn.ts';
import { stepTable } from './stepTable.ts';

const HELP = `Usage:  moored trace [-H HOST] [COMMAND [ARG...]]

Runs a command (docker run --rm busybox true) and then prints the steps that the daemon took meanwhile, with their times.
Without a command it prints the steps of the daemon's start.

  -H, --host HOST   The daemon's socket (default: $DOCKER_HOST, or unix:///var/run/docker.sock)

The exit code is the command's.
`;

/** What came last may still be on its way when the command has ended. */
const LAST_STEPS_MS = 200;
const CONNECT_MS = 10_000;

/** Runs it and gives the exit code. */
export async function trace(args: readonly string[]): Promise<number> {
  try {
    const { host, command, help } = parse(args);
    if (help) {
      process.stdout.write(HELP);
      return 0;
    }
    if (command.length > 0) return await traceCommand(host, command);
    process.stdout.write(stepTable(await stepsOf(await connect(host, '/moored/trace'))));
    return 0;
  } catch (error) {
    process.stderr.write(`moored trace: ${messageOf(error)}\n`);
    return 125;
  }
}

function parse(args: readonly string[]): { host: string; command: readonly string[]; help: boolean } {
  let host = process.env['DOCKER_HOST'] ?? '';
  let index = 0;
  for (; index < args.length; index += 1) {
    const arg = args[index] ?? '';
    if (arg === '-h' || arg === '--help') return { host, command: [], help: true };
    if (arg === '-H' || arg === '--host') host = args[++index] ?? '';
    else if (arg.startsWith('--host=')) host = arg.slice('--host='.length);
    else if (arg === '--') {
      index += 1;
      break;
    } else if (arg.startsWith('-')) throw invalid(`unknown flag: ${arg}`);
    else break;
  }
  return { host: host === '' ? 'unix:///var/run/docker.sock' : host, command: args.slice(index), help: false };
}

async function traceCommand(host: string, command: readonly string[]): Promise<number> {
  const answer = await connect(host, '/moored/trace?follow=1');
  const beganMs = performance.now();
  const steps = stepsOf(answer);
  const code = await passThrough(command, { ...process.env, DOCKER_HOST: host });
  await new Promise((resolve) => setTimeout(resolve, LAST_STEPS_MS));
  answer.destroy();
  const seen = (await steps).filter(({ subject }) => subject !== 'start');
  process.stderr.write(`\n${stepTable(seen)}took ${Math.round(performance.now() - beganMs - LAST_STEPS_MS)} ms, the command included\n`);
  return code;
}

function connect(host: string, path: string): Promise<IncomingMessage> {
  const [, protocol, rest] = /^(unix|tcp):\/\/(.+)$/.exec(host) ?? [];
  if (protocol === undefined || rest === undefined) throw invalid(`a host is unix://PATH or tcp://ADDRESS:PORT, not ${host}`);
  const where = protocol === 'unix' ? { socketPath: rest, path } : { ...hostAndPort(rest), path };
  return new Promise((resolve, reject) => {
    const request = http.get({ ...where, headers: { Host: 'moored' }, timeout: CONNECT_MS }, (answer) => {
      request.setTimeout(0);
      if (answer.statusCode === 200) resolve(answer);
      else reject(unavailable(`the daemon at ${host} is no moored that can be traced`));
    });
    request.on('timeout', () => request.destroy(new Error('it does not answer')));
    request.on('error', (error) => reject(unavailable(`cannot reach the daemon at ${host}: ${error.message}`, error)));
  });
}

function hostAndPort(text: string): { host: string; port: number } {
  const colon = text.lastIndexOf(':');
  return { host: text.slice(0, colon).replaceAll(/[[\]]/g, ''), port: Number(text.slice(colon + 1)) };
}

/** All steps until the daemon, or we, end the answer. */
async function stepsOf(answer: IncomingMessage): Promise<Step[]> {
  let text = '';
  try {
    for await (const chunk of answer.setEncoding('utf8')) text += String(chunk);
  } catch {
    // Ended by us.
  }
  return text.split('\n').filter((line) => line.endsWith('}')).map((line) => JSON.parse(line) as Step);
}
