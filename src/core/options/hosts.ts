/** What `-H` can say: where the API is served. */
import { invalid } from '../../base/errors.ts';

export type ListenAddress =
  | { readonly protocol: 'unix'; readonly path: string }
  | { readonly protocol: 'tcp'; readonly host: string; readonly port: number }
  /** Sockets that the service manager has opened: one by number or name, all with an empty name. */
  | { readonly protocol: 'fd'; readonly name: string };

const DEFAULT_SOCKET = '/var/run/docker.sock';

/** Reads one `-H` value; throws `invalid` with Docker's words. */
export function parseHost(text: string, tls: boolean): ListenAddress {
  const value = text.trim();
  const defaultPort = tls ? 2376 : 2375;
  if (value === '') return tls ? { protocol: 'tcp', host: 'localhost', port: 2376 } : { protocol: 'unix', path: DEFAULT_SOCKET };
  const [, scheme, rest = ''] = /^([a-z][a-z0-9+.-]*):\/\/(.*)$/s.exec(value) ?? [undefined, 'tcp', value];
  switch (scheme) {
    case 'unix':
      if (rest.startsWith('tcp://')) throw invalid(`invalid bind address format: ${value}`);
      return { protocol: 'unix', path: rest === '' ? DEFAULT_SOCKET : rest };
    case 'fd':
      return { protocol: 'fd', name: rest };
    case 'tcp':
      return parseTcp(rest, defaultPort);
    default:
      throw invalid(`invalid bind address (${value}): unsupported proto '${scheme}'`);
  }
}

function parseTcp(address: string, defaultPort: number): ListenAddress {
  if (address.includes('://')) throw invalid(`invalid bind address format: ${address}`);
  let url: URL;
  try {
    url = new URL(`tcp://${address.startsWith(':') || address === '' ? `localhost${address}` : address}`);
  } catch (error) {
    throw invalid(`invalid bind address (${address}): should be of the form [host][:port]`, error);
  }
  if (url.username !== '' || url.password !== '') throw invalid(`invalid bind address (${address}): should not contain user info`);
  if (url.pathname !== '' && url.pathname !== '/') throw invalid(`invalid bind address (${address}): should not contain a path element`);
  if (url.search !== '') throw invalid(`invalid bind address (${address}): should not contain a query`);
  if (url.hash !== '') throw invalid(`invalid bind address (${address}): should not contain a URL fragment`);
  const host = url.hostname.replace(/^\[|\]$/g, '');
  return { protocol: 'tcp', host, port: url.port === '' ? defaultPort : Number(url.port) };
}

/** Whether TCP is served unencrypted beyond this machine, which gives root to the network. */
export const isExposed = (address: ListenAddress, tlsVerify: boolean): boolean =>
  address.protocol === 'tcp' && !tlsVerify && !/^(localhost|127\.|::1$)/.test(address.host);
