/** Certificates and keys for TLS, read anew for each connection, so that renewed ones count. */
import { readFile } from 'node:fs/promises';
import { getCACertificates } from 'node:tls';
import { messageOf } from '../../base/errors.ts';
import { DeliveryError } from '../../core/ports/logTargets.ts';

/** Paths of PEM files; undefined: none. */
export interface TlsFiles {
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
  readonly skipVerify: boolean;
}

export interface TlsContext {
  readonly ca: string[] | Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
  readonly rejectUnauthorized: boolean;
}

/** Without a CA of its own a target is checked against the host's. */
export async function readTlsFiles(files: TlsFiles): Promise<TlsContext> {
  try {
    const [ca, cert, key] = await Promise.all([files.ca, files.cert, files.key].map(async (path) => (path === undefined ? undefined : await readFile(path))));
    return {
      ca: ca ?? [...getCACertificates('default'), ...getCACertificates('system')],
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
      rejectUnauthorized: !files.skipVerify,
    };
  } catch (error) {
    throw new DeliveryError(messageOf(error), { cause: error });
  }
}
