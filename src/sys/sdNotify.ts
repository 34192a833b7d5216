/**
 * What systemd and a service say to each other: readiness by datagram (sd_notify(3)), and listening sockets handed over
 * at start (sd_listen_fds(3)). Node has no unix datagram sockets, hence the FFI.
 */
import { closeSync, readFileSync, readlinkSync, writeSync } from 'node:fs';
import { check, prototype } from './libc.ts';

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const SOCK_NONBLOCK = 0o4000;
const F_SETFD = 2;
const FD_CLOEXEC = 1;

const socket = prototype<(domain: number, type: number, protocol: number) => number>('int socket(int domain, int type, int protocol)');
const connect = prototype<(fd: number, address: Buffer, size: number) => number>(
  'int connect(int fd, const void *address, uint32_t size)',
);
const fcntl = prototype<(fd: number, command: number, type: 'int', value: number) => number>('int fcntl(int fd, int command, ...)');

/** Tells the service manager about a state: `notify({ READY: '1' })`. */
export type Notify = (state: Readonly<Record<string, string>>) => void;

/**
 * Takes the manager's address out of the environment, so that no child inherits it. Without a manager the result does
 * nothing. Telling throws if the manager cannot be reached.
 */
export function sdNotify(env: NodeJS.ProcessEnv = process.env): Notify {
  const path = env['NOTIFY_SOCKET'] ?? '';
  delete env['NOTIFY_SOCKET'];
  if (!/^[/@]./.test(path)) return () => {};
  return (state) => send(path, Object.entries(state).map(([key, value]) => `${key}=${value}\n`).join(''));
}

function send(path: string, text: string): void {
  const address = socketAddress(path);
  const fd = check('socket', socket()(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  try {
    check('connect', connect()(fd, address, address.length));
    writeSync(fd, text);
  } finally {
    closeSync(fd);
  }
}

/** A sockaddr_un; a leading `@` stands for the abstract namespace. */
function socketAddress(path: string): Buffer {
  const family = Buffer.alloc(2);
  family.writeUInt16LE(AF_UNIX);
  return Buffer.concat([family, Buffer.from(path.startsWith('@') ? `\0${path.slice(1)}` : `${path}\0`)]);
}

/** A listening socket that the service manager opened. */
export interface InheritedSocket {
  readonly fd: number;
  /** `FileDescriptorName=` of the socket unit, its file name by default. */
  readonly name: string;
  readonly isUnix: boolean;
}

const FIRST_FD = 3;

/** The sockets handed to this process, close-on-exec from now on; their announcement is taken out of the environment. */
export function inheritedSockets(env: NodeJS.ProcessEnv = process.env): InheritedSocket[] {
  const { LISTEN_PID: pid, LISTEN_FDS: count, LISTEN_FDNAMES: names } = env;
  for (const name of ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES']) delete env[name];
  if (Number(pid) !== process.pid) return [];
  const nameList = (names ?? '').split(':');
  return Array.from({ length: Number(count) || 0 }, (_, index) => {
    const fd = FIRST_FD + index;
    check('fcntl', fcntl()(fd, F_SETFD, 'int', FD_CLOEXEC));
    return { fd, name: nameList[index] ?? '', isUnix: isUnixSocket(fd) };
  });
}

function isUnixSocket(fd: number): boolean {
  const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1];
  if (inode === undefined) return false;
  return readFileSync('/proc/self/net/unix', 'utf8').split('\n').some((line) => line.split(/\s+/)[6] === inode);
}
