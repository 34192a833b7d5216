/**
 * A release's daemon runs once while the release is built, in a network namespace and in folders of its own, so that the
 * code V8 has made by then can be shipped: the next start need not make it again.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const READY_MS = 60_000;
const END_MS = 30_000;
/** What a client asks first. */
const QUESTIONS = ['/_ping', '/containers/json', '/info', '/version', '/images/json', '/networks', '/volumes', '/containers/none/json'];

/** Leaves `daemon.code` in the library's folder. Without root's rights there is none, which costs the daemon's start some time. */
export async function rehearse(program: string, library: string): Promise<void> {
  if (process.getuid?.() !== 0) {
    console.log('not root: the release has no prepared code, its daemon starts a little later');
    return;
  }
  const folder = mkdtempSync(path.join(tmpdir(), 'moored-release-'));
  const socket = path.join(folder, 'docker.sock');
  const args = ['--live-restore', '--config-file', '/dev/null', '-H', `unix://${socket}`, '--data-root', path.join(folder, 'data'), '--exec-root', path.join(folder, 'exec'), '--pidfile', path.join(folder, 'pid'), '--log-level', 'error'];
  const daemon = spawn('unshare', ['--net', '--mount', program, ...args], { stdio: ['ignore', 'ignore', 'inherit'], env: { ...process.env, MOORED_KEEP_CODE: 'daemon' } });
  try {
    const ended = once(daemon, 'exit', { signal: AbortSignal.timeout(READY_MS + END_MS) });
    for (const deadline = Date.now() + READY_MS; !existsSync(socket) && daemon.exitCode === null && Date.now() < deadline;) await sleep(20);
    for (const question of QUESTIONS) await ask(socket, question);
    daemon.kill('SIGTERM');
    await ended;
    if (!existsSync(path.join(library, 'daemon.code'))) throw new Error('the rehearsal left no code');
    console.log(`prepared code: ${Math.round(statSync(path.join(library, 'daemon.code')).size / 1024)} KiB`);
  } finally {
    daemon.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
  }
}

function ask(socketPath: string, where: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = http.get({ socketPath, path: where, timeout: READY_MS }, (response) => response.resume().on('end', resolve));
    request.on('timeout', () => request.destroy(new Error(`no answer to ${where}`))).on('error', reject);
  });
}
