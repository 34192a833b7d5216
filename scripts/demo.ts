/**
 * `make run`: starts the engine, runs a container with a published port, kills the engine with SIGKILL, shows that the
 * container does not notice, starts the engine again, shows that it finds everything, and leaves it running.
 */
import { execFile, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

const root = path.resolve(import.meta.dirname, '..');
const runFolder = '/run/moored-demo';
const dataRoot = '/var/lib/moored-demo';
const socket = `${runFolder}/docker.sock`;
const pidFile = `${runFolder}/moored.pid`;
const logFile = `${runFolder}/moored.log`;
const NAME = 'moored-demo';
const SCRIPT = 'mkdir -p /www; echo "the container is here" > /www/index.html; httpd -p 80 -h /www; i=0; while :; do i=$((i+1)); echo "line $i"; sleep 0.05; done';

const say = (text: string): void => console.log(`\n\u001b[1m${text}\u001b[0m`);
const show = (text: string): void => console.log(text.trimEnd().replaceAll(/^/gm, '    '));

const client = execFileSync(path.join(root, 'scripts/docker-cli'), { encoding: 'utf8' }).trim();

async function docker(...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(client, ['-H', `unix://${socket}`, ...args], { maxBuffer: 64 << 20 });
  return stdout.trim();
}

function running(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (let left = 600; left > 0; left -= 1) {
    if (await condition()) return;
    await sleep(50);
  }
  throw new Error(`waited for ${what} in vain; the engine's log is ${logFile}:\n${existsSync(logFile) ? readFileSync(logFile, 'utf8').slice(-3000) : ''}`);
}

const get = (options: http.RequestOptions): Promise<string> =>
  new Promise((resolve, reject) => {
    http.get({ ...options, agent: false, timeout: 3000 }, (answer) => {
      let text = '';
      answer.on('data', (chunk: Buffer) => {
        text += chunk.toString('utf8');
      });
      answer.on('end', () => resolve(text));
    }).on('error', reject);
  });

const answers = (): Promise<boolean> => get({ socketPath: socket, path: '/_ping' }).then((text) => text === 'OK', () => false);

/** Starts the engine and gives its pid. */
async function start(): Promise<number> {
  const log = openSync(logFile, 'a');
  const args = ['-H', `unix://${socket}`, '--data-root', dataRoot, '--exec-root', `${runFolder}/exec`, '--pidfile', pidFile, '--config-file', `${runFolder}/daemon.json`];
  const child = spawn(path.join(root, 'bin/moored'), args, { detached: true, stdio: ['ignore', log, log] });
  child.unref();
  await until(async () => {
    if (child.exitCode !== null) throw new Error(`the engine did not start:\n${readFileSync(logFile, 'utf8').slice(-3000)}`);
    return answers();
  }, 'the engine');
  return child.pid ?? 0;
}

async function stopEarlier(): Promise<void> {
  const pid = existsSync(pidFile) ? Number(readFileSync(pidFile, 'utf8')) : 0;
  if (pid <= 1 || !running(pid) || !readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(runFolder)) return;
  process.kill(pid, 'SIGTERM');
  await until(() => !running(pid), 'the engine of an earlier run to stop');
}

async function image(): Promise<string> {
  const archive = path.join(runFolder, 'busybox.tar');
  await promisify(execFile)(process.execPath, [path.join(root, 'scripts/mkimage.ts'), archive]);
  const loaded = await docker('load', '-i', archive);
  rmSync(archive);
  return loaded;
}

const numbers = async (): Promise<number[]> => (await docker('logs', NAME)).split('\n').map((line) => Number(line.replace('line ', '')));

async function main(): Promise<void> {
  if (process.getuid?.() !== 0) throw new Error('this needs root: sudo make run');
  mkdirSync(runFolder, { recursive: true, mode: 0o711 });
  writeFileSync(`${runFolder}/daemon.json`, '{ "live-restore": true }\n');
  await stopEarlier();

  const first = await start();
  say(`The engine runs (pid ${first}), with live restore on. An image is made of Debian's busybox, so that no registry is needed.`);
  show(await image());

  await docker('rm', '-f', NAME).catch(() => undefined);
  await docker('run', '-d', '--name', NAME, '--restart', 'always', '-p', '127.0.0.1::80', 'busybox', 'sh', '-c', SCRIPT);
  const format = '{{.State.Pid}} {{.State.StartedAt}} {{.NetworkSettings.IPAddress}}';
  const before = await docker('inspect', '-f', format, NAME);
  const [, port = ''] = /:(\d+)$/m.exec(await docker('port', NAME, '80')) ?? [];
  const page = (): Promise<string> => get({ host: '127.0.0.1', port: Number(port), path: '/' });
  await until(() => page().then(() => true, () => false), 'the published port');
  say('A container with a published port and a log that grows.');
  show(`$ docker ps\n${await docker('ps')}\n$ curl http://127.0.0.1:${port}/\n${await page()}`);

  process.kill(first, 'SIGKILL');
  await until(() => !running(first), 'the end of the engine');
  const lost = Date.now();
  say(`kill -9 ${first}: there is no engine any more. The container runs on, its port answers:`);
  for (let round = 0; round < 3; round += 1) {
    await sleep(500);
    show(`$ curl http://127.0.0.1:${port}/\n${await page()}`);
  }

  const second = await start();
  const away = ((Date.now() - lost) / 1000).toFixed(1);
  const after = await docker('inspect', '-f', format, NAME);
  const found = await numbers();
  const gap = found.findIndex((number, index) => number !== index + 1);
  if (after !== before) throw new Error(`the container changed: ${before} became ${after}`);
  if (gap >= 0) throw new Error(`the log has a gap at line ${gap + 1}`);
  say(`The engine is back (pid ${second}) after ${away} s. Same process, same start time, same address:`);
  show(`before: ${before}\nafter:  ${after}`);
  say(`The log has every line, in order, also those of the ${away} s without an engine: 1 to ${found.at(-1)}.`);
  show(await docker('logs', '-t', '--tail', '3', NAME));
  say('The engine is left running. To use it:');
  show(`export DOCKER_HOST=unix://${socket}${client === 'docker' || client.startsWith('/usr/') ? '' : `\nexport PATH=${path.dirname(client)}:$PATH`}\ndocker ps\n\nTo end it:  docker rm -f ${NAME}; kill ${second}`);
}

await main();
