/** Legacy links (`--link`) between containers of the default network: names in /etc/hosts, and variables. */
import { invalid } from '../../base/errors.ts';
import { parsePortKey } from './portSpec.ts';

export interface Link {
  /** Name or id of the other container. */
  container: string;
  alias: string;
}

/** `name`, `name:alias`, or as inspect shows it: `/name:/me/alias`. */
export function parseLink(text: string): Link {
  const [container = '', alias = container, ...rest] = text.split(':');
  if (container === '' || alias === '' || rest.length > 0) throw invalid(`bad format for links: ${text}`);
  const withoutSlash = container.replace(/^\//, '');
  return { container: withoutSlash, alias: alias.startsWith('/') ? alias.slice(alias.lastIndexOf('/') + 1) : alias };
}

/** As inspect shows it. */
export const linkText = (other: string, me: string, alias: string): string => `/${other}:/${me}/${alias}`;

export interface LinkedContainer {
  alias: string;
  /** Of the container that has the link. */
  parent: string;
  address: string;
  /** `80/tcp`. */
  exposedPorts: readonly string[];
  env: readonly string[];
}

/** `ALIAS_PORT=tcp://172.17.0.2:80`, `ALIAS_PORT_80_TCP_ADDR=…`, `ALIAS_NAME=…`, `ALIAS_ENV_X=…` (moby `daemon/links`). */
export function linkEnv({ alias, parent, address, exposedPorts, env }: LinkedContainer): string[] {
  const prefix = alias.toUpperCase().replaceAll('-', '_');
  const ports = exposedPorts.map(parsePortKey).toSorted((a, b) => a.port - b.port || (a.proto < b.proto ? -1 : 1));
  const [first] = ports;
  return [
    ...(first === undefined ? [] : [`${prefix}_PORT=${first.proto}://${address}:${first.port}`]),
    ...ports.flatMap(({ port, proto }) => {
      const name = `${prefix}_PORT_${port}_${proto.toUpperCase()}`;
      return [`${name}=${proto}://${address}:${port}`, `${name}_ADDR=${address}`, `${name}_PORT=${port}`, `${name}_PROTO=${proto}`];
    }),
    `${prefix}_NAME=/${parent}/${alias}`,
    ...env.filter((entry) => !/^(HOME|PATH)=/.test(entry)).map((entry) => `${prefix}_ENV_${entry}`),
  ];
}
