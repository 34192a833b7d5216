/** The certificates that `--tls` and `--tlsverify` name. */
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import path from 'node:path';
import type { TlsOptions } from '../api/server.ts';
import { invalid, messageOf } from '../base/errors.ts';
import type { Config } from '../core/options/table.ts';

/** What the TCP servers need; undefined without TLS. Throws `invalid` naming the file that is wrong. */
export function tlsOptions(config: Config, env: NodeJS.ProcessEnv = process.env): TlsOptions | undefined {
  if (!config.tls) return undefined;
  const read = (file: string, what: string): Buffer => {
    try {
      return readFileSync(expand(file, env));
    } catch (error) {
      throw invalid(`could not read ${what} ${JSON.stringify(file)}: ${messageOf(error)}`, error);
    }
  };
  const pair = { cert: read(config.tlscert, 'TLS certificate'), key: read(config.tlskey, 'TLS key'), minVersion: 'TLSv1.2' as const };
  const options = config.tlsverify
    ? { ...pair, ca: read(config.tlscacert, 'CA certificate'), requestCert: true, rejectUnauthorized: true }
    : pair;
  try {
    createSecureContext(options);
  } catch (error) {
    throw invalid(`could not load X509 key pair (cert: ${JSON.stringify(config.tlscert)}, key: ${JSON.stringify(config.tlskey)}): ${messageOf(error)}`, error);
  }
  return options;
}

/** The defaults lie in Docker's configuration folder, or where DOCKER_CERT_PATH points. */
function expand(file: string, env: NodeJS.ProcessEnv): string {
  if (!file.startsWith('~/.docker/')) return file;
  const folder = env['DOCKER_CERT_PATH'] ?? path.join(env['HOME'] ?? '/root', '.docker');
  return path.join(folder, file.slice('~/.docker/'.length));
}
