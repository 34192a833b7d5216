/** Where the API is served: unix sockets, TCP with and without TLS, and sockets that systemd has opened. */
import { once } from 'node:events';
import { chmodSync, chownSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import type { RequestListener, Server } from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { createApiServer } from '../api/server.ts';
import type { ApiServer, TlsOptions } from '../api/server.ts';
import { conflict, errnoOf, internal, invalid, messageOf } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { isExposed, parseHost } from '../core/options/hosts.ts';
import type { ListenAddress } from '../core/options/hosts.ts';
import { OPTIONS } from '../core/options/table.ts';
import type { Config } from '../core/options/table.ts';
import { inheritedSockets } from '../sys/sdNotify.ts';
import type { InheritedSocket } from '../sys/sdNotify.ts';
import { tlsOptions } from './tls.ts';

export interface Listeners {
  /** Accepts no more, cuts every client, removes the unix sockets that were made here. */
  close(): Promise<void>;
}

/** Binds every host of the configuration; if one fails, none stays. */
export async function openListeners(config: Config, handler: RequestListener, logger: Logger): Promise<Listeners> {
  const tls = tlsOptions(config);
  const inherited = inheritedSockets();
  const servers: ApiServer[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(servers.map((server) => server.close()));
  };
  try {
    for (const host of config.hosts) {
      const address = parseHost(host, config.tls);
      if (isExposed(address, config.tlsverify)) {
        logger.warn(
          'Binding to an IP address without --tlsverify is insecure and gives root access on this machine to everyone who has access to your network.',
          { host },
        );
      }
      for (const target of await targetsOf(address, { inherited, tls })) {
        const server = createApiServer(handler, target.tls);
        servers.push(server);
        await target.listen(server.http);
        if (address.protocol === 'unix') giveToGroup(address.path, config.group, logger);
        server.http.on('error', (error) => logger.error('API listener failed', { host, error }));
        logger.info(`API listen on ${describe(address, server.http)}`);
      }
    }
  } catch (error) {
    await close();
    throw error;
  }
  return { close };
}

interface Target {
  readonly tls: TlsOptions | undefined;
  readonly listen: (server: Server) => Promise<void>;
}

interface Means {
  readonly inherited: readonly InheritedSocket[];
  readonly tls: TlsOptions | undefined;
}

async function targetsOf(address: ListenAddress, { inherited, tls }: Means): Promise<Target[]> {
  switch (address.protocol) {
    case 'unix':
      return [{ tls: undefined, listen: (server) => listenUnix(server, address.path) }];
    case 'tcp':
      return [{ tls, listen: (server) => listen(server, { host: address.host, port: address.port }) }];
    case 'fd':
      return chosen(inherited, address.name).map(({ fd, isUnix }) => ({
        tls: isUnix ? undefined : tls,
        listen: (server) => listen(server, { fd }),
      }));
  }
}

/** All sockets for `fd://`, those of that number or name for `fd://x`. */
function chosen(inherited: readonly InheritedSocket[], name: string): readonly InheritedSocket[] {
  if (inherited.length === 0) throw invalid('no sockets found via socket activation: make sure the service was started by systemd');
  if (name === '' || name === '*') return inherited;
  const found = inherited.filter((socket) => socket.name === name || String(socket.fd) === name);
  if (found.length === 0) throw invalid(`failed to find the socket ${name} among those that systemd has opened`);
  return found;
}

type Place = { readonly host: string; readonly port: number } | { readonly fd: number };

async function listen(server: Server, place: Place): Promise<void> {
  try {
    server.listen(place);
    await once(server, 'listening');
  } catch (error) {
    const where = 'fd' in place ? `fd ${place.fd}` : `tcp ${place.host}:${place.port}`;
    throw internal(`failed to load listener: listen ${where}: ${messageOf(error)}`, error);
  }
}

/** A socket that a dead daemon left is replaced; one that somebody serves is not. */
async function listenUnix(server: Server, file: string): Promise<void> {
  if (await isServed(file)) throw conflict(`failed to load listener: ${file} is served by another process`);
  if (!file.startsWith('@')) {
    mkdirSync(path.dirname(file), { recursive: true, mode: 0o755 });
    rmSync(file, { force: true });
  }
  // Nobody may connect between bind and chmod.
  const umask = process.umask(0o777);
  try {
    server.listen({ path: file.replace(/^@/, '\0') });
  } finally {
    process.umask(umask);
  }
  try {
    await once(server, 'listening');
  } catch (error) {
    throw internal(`failed to load listener: listen unix ${file}: ${messageOf(error)}`, error);
  }
}

async function isServed(file: string): Promise<boolean> {
  const probe = net.connect({ path: file.replace(/^@/, '\0') });
  try {
    await once(probe, 'connect');
    return true;
  } catch (error) {
    // A full backlog is somebody's, too.
    return errnoOf(error) === 'EAGAIN';
  } finally {
    probe.destroy();
  }
}

/** Docker's convention: root and the group may use the socket. */
function giveToGroup(file: string, group: string, logger: Logger): void {
  if (file.startsWith('@')) return;
  chmodSync(file, 0o660);
  const gid = findGroup(group);
  if (gid !== undefined) chownSync(file, 0, gid);
  else if (group === OPTIONS.group.initial) logger.debug(`could not change group of ${file} to ${group}: group not found`);
  else throw invalid(`failed to load listener: could not change group of ${file} to ${group}: group ${group} not found`);
}

function findGroup(group: string): number | undefined {
  if (group === '') return 0;
  const line = readFileSync('/etc/group', 'utf8').split('\n').find((entry) => entry.startsWith(`${group}:`));
  const gid = line?.split(':')[2] ?? (/^\d+$/.test(group) ? group : undefined);
  return gid === undefined ? undefined : Number(gid);
}

function describe(address: ListenAddress, server: Server): string {
  if (address.protocol === 'unix') return address.path;
  const bound = server.address();
  return bound === null || typeof bound === 'string' ? `fd ${bound ?? ''}`.trim() : `${bound.address}:${bound.port}`;
}
