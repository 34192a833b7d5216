/** What a whole configuration must satisfy, in dockerd's words. */
import { isIP } from 'node:net';
import { invalid } from '../../base/errors.ts';
import { LOG_LEVELS } from '../../base/logger.ts';
import { checkDefaultLogConfig } from '../log/drivers.ts';
import { parseHost } from './hosts.ts';
import { cut } from './kinds.ts';
import type { Config } from './table.ts';

/** Throws `invalid` for the first thing that is wrong. */
export function validate(config: Config): void {
  for (const check of CHECKS) check(config);
}

const CHECKS: readonly ((config: Config) => void)[] = [
  ({ logLevel }) => {
    if (!(LOG_LEVELS as readonly string[]).includes(logLevel.toLowerCase()) && !['warning', 'panic'].includes(logLevel.toLowerCase())) {
      throw invalid(`invalid logging level: ${logLevel}`);
    }
  },
  ({ logFormat }) => {
    if (logFormat !== 'text' && logFormat !== 'json') throw invalid(`invalid log format: ${logFormat}`);
  },
  ({ labels }) => checkLabels(labels),
  ({ dns }) => {
    for (const server of dns) if (!isAddress(server)) throw invalid(`IP address is not correctly formatted: ${server}`);
  },
  ({ dnsSearch }) => {
    for (const domain of dnsSearch) {
      if (!/^(\.|[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\.?)$/i.test(domain.trim())) {
        throw invalid(`${domain} is not a valid domain`);
      }
    }
  },
  ({ hostGatewayIps, hostGatewayIp }) => {
    if (hostGatewayIps.length > 0 && hostGatewayIp !== '') {
      throw invalid('host-gateway-ip and host-gateway-ips must not both be specified in the config file');
    }
    for (const address of [...hostGatewayIps, hostGatewayIp]) {
      if (address !== '' && !isAddress(address)) throw invalid(`IP address is not correctly formatted: ${address}`);
    }
  },
  ({ mtu }) => atLeastZero('default MTU', mtu),
  ({ maxConcurrentDownloads }) => atLeastZero('max concurrent downloads', maxConcurrentDownloads),
  ({ maxConcurrentUploads }) => atLeastZero('max concurrent uploads', maxConcurrentUploads),
  ({ maxDownloadAttempts }) => atLeastZero('max download attempts', maxDownloadAttempts),
  ({ defaultStopTimeout }) => atLeastZero('default stop timeout', defaultStopTimeout),
  ({ networkDiagnosticPort: port }) => {
    if (port < 0 || port > 65535) throw invalid(`invalid network-diagnostic-port (${port}): value must be between 0 and 65535`);
  },
  ({ execOpts }) => {
    for (const option of execOpts) checkExecOption(option);
  },
  ({ hosts, tls, tlsverify }) => {
    for (const host of hosts) parseHost(host, tls || tlsverify);
  },
  ({ nodeGenericResources }) => {
    for (const resource of nodeGenericResources) {
      if (!/^[^=]+=[^=]+$/.test(resource)) throw invalid(`invalid generic resource: ${resource}`);
    }
  },
  ({ bridge, bip, bip6 }) => {
    if (bridge !== '' && bridge !== 'none' && (bip !== '' || bip6 !== '')) {
      throw invalid('You specified -b & --bip, mutually exclusive options. Please specify only one');
    }
    if (bip !== '') checkPrefix('bip', bip, 4);
    if (bip6 !== '') checkPrefix('bip6', bip6, 6);
  },
  ({ fixedCidr, fixedCidrV6 }) => {
    if (fixedCidr !== '') checkPrefix('fixed-cidr', fixedCidr, 4);
    if (fixedCidrV6 !== '') checkPrefix('fixed-cidr-v6', fixedCidrV6, 6);
  },
  ({ defaultGateway, defaultGatewayV6, ip }) => {
    for (const address of [defaultGateway, defaultGatewayV6, ip]) {
      if (address !== '' && !isAddress(address)) throw invalid(`${address} is not an ip address`);
    }
  },
  ({ icc, iptables }) => {
    if (!icc && !iptables) {
      throw invalid('You specified --iptables=false with --icc=false. ICC=false uses iptables to function. Please set --icc or --iptables to true');
    }
  },
  ({ userlandProxyPath: path }) => {
    if (path !== '' && !path.startsWith('/')) throw invalid(`invalid userland-proxy-path: must be an absolute path: ${path}`);
  },
  ({ firewallBackend: backend }) => {
    if (!['', 'iptables', 'nftables'].includes(backend)) {
      throw invalid('invalid firewall-backend: allowed values are "iptables" and "nftables"');
    }
  },
  ({ defaultIpcMode: mode }) => {
    if (mode === 'host' || mode === 'none' || mode.startsWith('container:')) {
      throw invalid(`IPC mode "${mode}" is not supported as default value; use "shareable" or "private"`);
    }
    if (mode !== 'shareable' && mode !== 'private') {
      throw invalid(`default IPC mode setting (${mode}) is invalid; use "shareable" or "private"`);
    }
  },
  ({ defaultCgroupnsMode: mode }) => {
    if (!['', 'host', 'private'].includes(mode)) throw invalid(`invalid default cgroup namespace (${mode}): use "host" or "private"`);
  },
  ({ defaultRuntime, runtimes }) => {
    if (defaultRuntime !== '' && defaultRuntime !== 'runc' && !Object.hasOwn(runtimes, defaultRuntime) && !defaultRuntime.startsWith('/')) {
      throw invalid(`specified default runtime '${defaultRuntime}' does not exist`);
    }
  },
  ({ defaultShmSize }) => atLeastZero('default shm size', defaultShmSize),
  ({ logDriver, logOpts }) => checkDefaultLogConfig(logDriver, logOpts),
  ({ logPipeSize }) => atLeastZero('log pipe size', logPipeSize),
  ({ cgroupParent, execOpts }) => {
    const systemd = execOpts.some((option) => option.replaceAll(' ', '').toLowerCase() === 'native.cgroupdriver=systemd');
    if (cgroupParent !== '' && systemd && !/^[^/]+\.slice$/.test(cgroupParent)) {
      throw invalid('cgroup-parent for systemd cgroup should be a valid slice named as "xxx.slice"');
    }
  },
  ({ dataRoot, execRoot }) => {
    for (const root of [dataRoot, execRoot]) if (!root.startsWith('/')) throw invalid(`invalid root directory: must be an absolute path: ${root}`);
  },
];

function atLeastZero(what: string, value: number): void {
  if (value < 0) throw invalid(`invalid ${what}: ${value}`);
}

function checkLabels(labels: readonly string[]): void {
  const seen = new Map<string, string>();
  for (const label of labels) {
    const [key, value] = cut(label, '=');
    if (value === undefined) throw invalid(`bad attribute format: ${label}`);
    const other = seen.get(key);
    if (other !== undefined && other !== value) throw invalid(`conflict labels for ${key}=${value} and ${key}=${other}`);
    seen.set(key, value);
  }
}

function checkExecOption(option: string): void {
  const [key, value] = cut(option, '=');
  if (value === undefined || value === '') throw invalid(`invalid exec-opt (${option}): must be formatted 'opt=value'`);
  const name = key.trim().toLowerCase();
  if (name !== 'native.cgroupdriver') throw invalid(`invalid exec-opt (${option}): unknown option: '${name}'`);
  if (!['cgroupfs', 'systemd'].includes(value.trim())) {
    throw invalid(`native.cgroupdriver option ${value.trim()} not supported, use either cgroupfs or systemd`);
  }
}

function isAddress(text: string): boolean {
  return isIP(text.replace(/%[\w.-]+$/, '')) !== 0;
}

function checkPrefix(option: string, text: string, family: 4 | 6): void {
  const [address, bits] = cut(text, '/');
  const valid = isIP(address) === family && bits !== undefined && /^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128);
  if (!valid) throw invalid(`invalid ${option} (${text}): invalid CIDR address: ${text}`);
}
