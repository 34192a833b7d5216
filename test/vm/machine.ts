/**
 * A virtual machine: Debian with systemd and cgroup v2, without a network, emulated. Its root disk is a throwaway copy of
 * the image that `build-image` makes; the release and what the tests need lie on a second, read-only disk.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { chmodSync, copyFileSync, cpSync, existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { busyboxArchive } from '../fixtures/images.ts';
import { dockerClient } from '../fixtures/target.ts';

const root = path.resolve(import.meta.dirname, '../..');
const images = path.join(root, 'build/vm');

/** An emulated processor is some twenty times slower than the real one. */
const BOOT_MS = 600_000;
const COMMAND_MS = 300_000;

const KERNEL_OPTIONS = [
  'console=ttyS0', 'quiet', 'panic=-1',
  // A host that is busy gives the timer too little time to prove itself, and the kernel gives up.
  'no_timer_check',
  'mitigations=off', 'systemd.default_device_timeout_sec=900', 'systemd.default_timeout_start_sec=900',
];

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export class Machine {
  readonly dir: string;
  readonly #qemu: ChildProcess;
  readonly #waiting = new Map<number, (outcome: Outcome) => void>();
  #boot = Promise.withResolvers<string>();
  #port: net.Socket | undefined;
  #next = 1;
  #ended = false;

  private constructor(dir: string, payload: string) {
    this.dir = dir;
    // One processor: two emulated ones spend what they have on waiting for each other where the host is busy. An old one:
    // programs that find vector extensions use them, and these are slow to emulate.
    this.#qemu = spawn('qemu-system-x86_64', [
      '-accel', 'tcg,thread=single', '-cpu', 'Nehalem', '-smp', '1', '-m', '2048',
      '-kernel', path.join(images, 'vmlinuz'), '-initrd', path.join(images, 'initrd'), '-append', KERNEL_OPTIONS.join(' '),
      '-drive', `file=${path.join(images, 'root.ext4')},format=raw,if=virtio,snapshot=on`,
      '-drive', `file=${payload},format=raw,if=virtio,readonly=on`,
      '-device', 'virtio-serial-pci', '-chardev', `socket,id=agent,path=${this.#socket},server=on,wait=off`,
      '-device', 'virtserialport,chardev=agent,name=moored.agent',
      '-serial', `file:${this.consoleFile}`, '-display', 'none', '-monitor', 'none', '-nic', 'none',
    ], { stdio: ['ignore', 'inherit', 'inherit'] });
    this.#qemu.on('exit', () => {
      this.#ended = true;
      this.#boot.reject(new Error('the virtual machine ended'));
      for (const answer of this.#waiting.values()) answer({ code: -1, stdout: '', stderr: 'the virtual machine ended' });
    });
  }

  /** Boots a machine with the release of this checkout on its second disk. */
  static async boot(): Promise<Machine> {
    const dir = mkdtempSync('/tmp/moored-vm-');
    try {
      return await Machine.#started(dir, await makePayload(dir));
    } catch (error) {
      rmSync(dir, { recursive: true, force: true });
      throw error;
    }
  }

  static async #started(dir: string, payload: string): Promise<Machine> {
    const machine = new Machine(dir, payload);
    try {
      await machine.#connect();
      await machine.booted();
      return machine;
    } catch (error) {
      console.error(machine.console());
      await machine.end();
      throw error;
    }
  }

  /** It runs no more. */
  get ended(): boolean {
    return this.#ended;
  }

  get consoleFile(): string {
    return path.join(this.dir, 'console');
  }

  get #socket(): string {
    return path.join(this.dir, 'agent.sock');
  }

  /** What the machine said on its serial console. */
  console(): string {
    return existsSync(this.consoleFile) ? readFileSync(this.consoleFile, 'utf8') : '';
  }

  /** Waits until the machine is up; gives the boot id. */
  async booted(): Promise<string> {
    const late = AbortSignal.timeout(BOOT_MS);
    return await Promise.race([this.#boot.promise, rejectionOf(late)]);
  }

  /** Runs a shell script in the machine. */
  async run(script: string, timeoutMs = COMMAND_MS): Promise<Outcome> {
    const id = this.#next;
    this.#next += 1;
    const { promise, resolve } = Promise.withResolvers<Outcome>();
    this.#waiting.set(id, resolve);
    try {
      this.#port?.write(`${id} ${Buffer.from(script).toString('base64')}\n`);
      const late = sleep(timeoutMs, undefined, { ref: false }).then((): Outcome => {
        throw new Error(`after ${timeoutMs / 1000} s no end of: ${script}`);
      });
      return await Promise.race([promise, late]);
    } finally {
      this.#waiting.delete(id);
    }
  }

  /** Runs a script that has to succeed; gives what it printed, without the last newline. */
  async ok(script: string, timeoutMs = COMMAND_MS): Promise<string> {
    const { code, stdout, stderr } = await this.run(script, timeoutMs);
    assert.equal(code, 0, `${script}\nended with ${code}: ${stderr}${stdout}`);
    return stdout.replace(/\n$/, '');
  }

  /** Repeats a script until it succeeds. */
  async until(script: string, timeoutMs = COMMAND_MS): Promise<string> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const { code, stdout, stderr } = await this.run(script);
      if (code === 0) return stdout.replace(/\n$/, '');
      if (performance.now() > deadline) throw new Error(`never came true: ${script}\nit says ${code}: ${stderr}${stdout}`);
      await sleep(250);
    }
  }

  /** Shuts the system down in order and boots it again. */
  async reboot(): Promise<void> {
    this.#boot = Promise.withResolvers();
    // Who is asked does not live to answer.
    void this.run('systemctl --no-block reboot').catch(() => {});
    await this.booted();
  }

  /** Ends the machine at once, as a power failure does. */
  async end(): Promise<void> {
    this.#boot.promise.catch(() => {});
    this.#port?.destroy();
    if (!this.#ended) {
      const gone = new Promise((resolve) => {
        this.#qemu.once('exit', resolve);
      });
      this.#qemu.kill('SIGKILL');
      await gone;
    }
    rmSync(this.dir, { recursive: true, force: true });
  }

  async #connect(): Promise<void> {
    while (!existsSync(this.#socket)) {
      if (this.#ended) throw new Error('qemu ended at once');
      await sleep(50);
    }
    this.#port = net.connect(this.#socket);
    this.#port.on('error', () => {});
    let rest = '';
    this.#port.setEncoding('latin1').on('data', (chunk: string) => {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) this.#heard(line.trim());
    });
  }

  #heard(line: string): void {
    const [first = '', second = '', out = '', err = ''] = line.split(' ');
    // After a reboot the rest of an answer may stand before it.
    if (first.endsWith('ready')) this.#boot.resolve(second);
    else this.#waiting.get(Number(first))?.({ code: Number(second), stdout: decode(out), stderr: decode(err) });
  }
}

const decode = (word: string): string => Buffer.from(word.slice(1), 'base64').toString('utf8');

function rejectionOf(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(new Error('the virtual machine did not come up in time')), { once: true });
  });
}

/** The second disk, made in this folder: the release, a docker client, an image to load, the agent. */
async function makePayload(target: string): Promise<string> {
  const [release] = globSync('dist/moored-*-linux-x64', { cwd: root });
  assert.ok(release !== undefined, 'there is no release: make release');
  const staged = path.join(target, 'payload');
  try {
    mkdirSync(staged);
    cpSync(path.join(root, release), path.join(staged, 'moored'), { recursive: true });
    copyFileSync(dockerClient(), path.join(staged, 'docker'));
    copyFileSync(await busyboxArchive(), path.join(staged, 'busybox.tar'));
    copyFileSync(path.join(import.meta.dirname, 'agent'), path.join(staged, 'agent'));
    execFileSync('gcc', ['-static', '-O1', '-o', path.join(staged, 'api'), path.join(import.meta.dirname, 'api.c')]);
    for (const program of ['docker', 'agent']) chmodSync(path.join(staged, program), 0o755);
    const disk = path.join(target, 'payload.ext4');
    execFileSync('mkfs.ext4', ['-q', '-d', staged, '-O', '^has_journal', disk, '512M'], { stdio: ['ignore', 'ignore', 'inherit'] });
    return disk;
  } finally {
    rmSync(staged, { recursive: true, force: true });
  }
}
