/**
 * Every option of the daemon, once: its flag, its key in daemon.json, its default, whether a reload applies it, and how
 * far it is honoured. Flags, the file, `--help`, validation and reload all read this table.
 */
import { addressPools, bool, bytes, int, list, map, mapOfMaps, object, runtimes, string, switches, ulimits } from './kinds.ts';
import type { Kind } from './kinds.ts';

/**
 * - `honoured`: does what Docker says it does.
 * - `without-effect`: accepted because unit files and playbooks set it; there is nothing here that it could change.
 * - `not-yet`: means something here, and is not done yet.
 * The latter two are said once at start, if set.
 */
export type OptionStatus = 'honoured' | 'without-effect' | 'not-yet';

export interface Option<T> {
  readonly kind: Kind<T>;
  readonly initial: T;
  readonly help: string;
  readonly flag?: string;
  readonly short?: string;
  /** The key in daemon.json: a path for keys within an object. Absent: a flag only. */
  readonly key?: readonly string[];
  /** Applied at a reload, without a restart. */
  readonly reload: boolean;
  readonly status: OptionStatus;
  /** Both the flag and the key may be given: they are merged. */
  readonly mergeable?: boolean;
}

interface Details {
  readonly short?: string;
  /** The key where it is not the flag's name; null: a flag only. */
  readonly key?: string | readonly string[] | null;
  readonly reload?: boolean;
  readonly status?: OptionStatus;
  readonly mergeable?: boolean;
}

/** An option with a flag. */
function flag<T>(name: string, value: { readonly kind: Kind<T>; readonly initial: T }, help: string, details: Details = {}): Option<T> {
  const { key = name, reload = false, status = 'honoured', ...rest } = details;
  return { ...rest, ...value, help, flag: name, reload, status, ...(key === null ? {} : { key: typeof key === 'string' ? [key] : key }) };
}

/** An option that only the file has. */
function fileOnly<T>(key: string, value: { readonly kind: Kind<T>; readonly initial: T }, details: Details = {}): Option<T> {
  return { ...value, help: '', key: [key], reload: details.reload ?? false, status: details.status ?? 'honoured' };
}

const off = { kind: bool, initial: false };
const on = { kind: bool, initial: true };
const text = (initial = '', placeholder = 'string') => ({ kind: string(placeholder), initial });
const number = (initial: number) => ({ kind: int, initial });
const none = (placeholder = 'list') => ({ kind: list(placeholder), initial: [] as readonly string[] });
const noPairs = { kind: map, initial: {} };

const RELOAD = { reload: true } as const;
const NO_EFFECT = { status: 'without-effect' } as const;
const NOT_YET = { status: 'not-yet' } as const;

export const OPTIONS = {
  runtimes: flag('add-runtime', { kind: runtimes, initial: {} }, 'Register an additional OCI compatible runtime', { key: 'runtimes', mergeable: true, ...RELOAD }),
  allowDirectRouting: flag('allow-direct-routing', off, 'Allow remote access to published ports on container IP addresses'),
  allowNondistributableArtifacts: flag('allow-nondistributable-artifacts', none(), 'Allow push of nondistributable artifacts to registry', NO_EFFECT),
  authorizationPlugins: flag('authorization-plugin', none(), 'Authorization plugins to load', { key: 'authorization-plugins', ...NOT_YET }),
  bip: flag('bip', text(), 'IPv4 address for the default bridge'),
  bip6: flag('bip6', text(), 'IPv6 address for the default bridge'),
  bridge: flag('bridge', text(), 'Attach containers to a network bridge', { short: 'b' }),
  bridgeAcceptFwmark: flag('bridge-accept-fwmark', text(), 'In bridge networks, accept packets with this firewall mark/mask', NOT_YET),
  cdiSpecDirs: flag('cdi-spec-dir', none(), 'CDI specification directories to use', { key: 'cdi-spec-dirs', ...NOT_YET }),
  cgroupParent: flag('cgroup-parent', text(), 'Set parent cgroup for all containers'),
  configFile: flag('config-file', text('/etc/docker/daemon.json'), 'Daemon configuration file', { key: null }),
  containerd: flag('containerd', text(), 'containerd grpc address', NO_EFFECT),
  containerdNamespace: flag('containerd-namespace', text('moby'), 'Containerd namespace to use', NO_EFFECT),
  containerdPluginsNamespace: flag('containerd-plugins-namespace', text('plugins.moby'), 'Containerd namespace to use for plugins', { key: 'containerd-plugin-namespace', ...NO_EFFECT }),
  cpuRtPeriod: flag('cpu-rt-period', number(0), 'Limit the CPU real-time period in microseconds for the parent cgroup for all containers (not supported with cgroups v2)', NOT_YET),
  cpuRtRuntime: flag('cpu-rt-runtime', number(0), 'Limit the CPU real-time runtime in microseconds for the parent cgroup for all containers (not supported with cgroups v2)', NOT_YET),
  criContainerd: flag('cri-containerd', off, 'start containerd with cri', NO_EFFECT),
  dataRoot: flag('data-root', text('/var/lib/moored'), 'Root directory of persistent state'),
  debug: flag('debug', off, 'Enable debug mode', { short: 'D', ...RELOAD }),
  defaultAddressPools: flag('default-address-pool', { kind: addressPools, initial: [] }, 'Default address pools for node specific local networks', { key: 'default-address-pools' }),
  defaultCgroupnsMode: flag('default-cgroupns-mode', text(), 'Default mode for containers cgroup namespace ("host" | "private")', RELOAD),
  defaultGateway: flag('default-gateway', text('', 'ip'), 'Default gateway IPv4 address for the default bridge network'),
  defaultGatewayV6: flag('default-gateway-v6', text('', 'ip'), 'Default gateway IPv6 address for the default bridge network'),
  defaultIpcMode: flag('default-ipc-mode', text('private'), 'Default mode for containers ipc ("shareable" | "private")', RELOAD),
  defaultNetworkOpts: flag('default-network-opt', { kind: mapOfMaps, initial: {} }, 'Default network options', { key: 'default-network-opts' }),
  defaultRuntime: flag('default-runtime', text('runc'), 'Default OCI runtime for containers', RELOAD),
  defaultShmSize: flag('default-shm-size', { kind: bytes, initial: 64 * 1024 * 1024 }, 'Default shm size for containers', RELOAD),
  defaultStopTimeout: flag('default-stop-timeout', number(10), 'Set the default stop timeout in seconds', RELOAD),
  defaultUlimits: flag('default-ulimit', { kind: ulimits, initial: {} }, 'Default ulimits for containers', { key: 'default-ulimits' }),
  dns: flag('dns', none(), 'DNS server to use'),
  dnsOpts: flag('dns-opt', none(), 'DNS options to use', { key: 'dns-opts' }),
  dnsSearch: flag('dns-search', none(), 'DNS search domains to use', { key: 'dns-search' }),
  execOpts: flag('exec-opt', none(), 'Runtime execution options', { key: 'exec-opts' }),
  execRoot: flag('exec-root', text('/var/run/moored'), 'Root directory for execution state files'),
  experimental: flag('experimental', off, 'Enable experimental features'),
  features: flag('feature', { kind: switches, initial: {} }, 'Enable feature in the daemon', { key: 'features', ...RELOAD, status: 'without-effect' }),
  firewallBackend: flag('firewall-backend', text(), 'Firewall backend to use, iptables or nftables', NO_EFFECT),
  fixedCidr: flag('fixed-cidr', text(), 'IPv4 subnet for the default bridge network'),
  fixedCidrV6: flag('fixed-cidr-v6', text(), 'IPv6 subnet for the default bridge network'),
  group: flag('group', text('docker'), 'Group for the unix socket', { short: 'G' }),
  hosts: flag('host', none(), 'Daemon socket(s) to connect to', { short: 'H', key: 'hosts' }),
  hostGatewayIps: flag('host-gateway-ip', none(), "IP addresses that the special 'host-gateway' string in --add-host resolves to. Defaults to the IP addresses of the default bridge", { key: 'host-gateway-ips' }),
  httpProxy: flag('http-proxy', text(), 'HTTP proxy URL to use for outgoing traffic', { key: ['proxies', 'http-proxy'] }),
  httpsProxy: flag('https-proxy', text(), 'HTTPS proxy URL to use for outgoing traffic', { key: ['proxies', 'https-proxy'] }),
  icc: flag('icc', on, 'Enable inter-container communication for the default bridge network'),
  init: flag('init', off, 'Run an init in the container to forward signals and reap processes'),
  initPath: flag('init-path', text(), 'Path to the docker-init binary'),
  insecureRegistries: flag('insecure-registry', none(), 'Enable insecure registry communication', { key: 'insecure-registries', ...RELOAD }),
  ip: flag('ip', text('0.0.0.0', 'ip'), 'Host IP for port publishing from the default bridge network'),
  ipForward: flag('ip-forward', on, 'Enable IP forwarding in system configuration'),
  ipForwardNoDrop: flag('ip-forward-no-drop', off, 'Do not set the filter-FORWARD policy to DROP when enabling IP forwarding'),
  ipMasq: flag('ip-masq', on, 'Enable IP masquerading for the default bridge network'),
  ip6tables: flag('ip6tables', on, 'Enable addition of ip6tables rules'),
  iptables: flag('iptables', on, 'Enable addition of iptables rules'),
  ipv6: flag('ipv6', off, 'Enable IPv6 networking for the default bridge network'),
  labels: flag('label', none(), 'Set key=value labels to the daemon', { key: 'labels', ...RELOAD }),
  liveRestore: flag('live-restore', off, 'Enable live restore of docker when containers are still running', RELOAD),
  logDriver: flag('log-driver', text('json-file'), 'Default driver for container logs'),
  logFormat: flag('log-format', text('text'), 'Set the logging format ("text"|"json")'),
  logLevel: flag('log-level', text('info'), 'Set the logging level ("debug"|"info"|"warn"|"error"|"fatal")', { short: 'l', ...RELOAD }),
  logOpts: flag('log-opt', noPairs, 'Default log driver options for containers', { key: 'log-opts' }),
  logPipeSize: flag('log-pipe-size', { kind: bytes, initial: 1024 * 1024 }, 'Size of the pipes between containers and their logs, up to /proc/sys/fs/pipe-max-size', RELOAD),
  maxConcurrentDownloads: flag('max-concurrent-downloads', number(3), 'Set the max concurrent downloads', RELOAD),
  maxConcurrentUploads: flag('max-concurrent-uploads', number(5), 'Set the max concurrent uploads', RELOAD),
  maxDownloadAttempts: flag('max-download-attempts', number(5), 'Set the max download attempts for each pull', RELOAD),
  metricsAddr: flag('metrics-addr', text(), 'Set default address and port to serve the metrics api on', NOT_YET),
  mtu: flag('mtu', number(1500), 'Set the MTU for the default "bridge" network'),
  networkControlPlaneMtu: flag('network-control-plane-mtu', number(1500), 'Network Control plane MTU', NO_EFFECT),
  noNewPrivileges: flag('no-new-privileges', off, 'Set no-new-privileges by default for new containers'),
  noProxy: flag('no-proxy', text(), 'Comma-separated list of hosts or IP addresses for which the proxy is skipped', { key: ['proxies', 'no-proxy'] }),
  nodeGenericResources: flag('node-generic-resource', none(), 'Advertise user-defined resource', { key: 'node-generic-resources', ...NOT_YET }),
  oomScoreAdjust: flag('oom-score-adjust', number(0), 'Set the oom_score_adj for the daemon', NO_EFFECT),
  pidfile: flag('pidfile', text('/var/run/docker.pid'), 'Path to use for daemon PID file', { short: 'p' }),
  rawLogs: flag('raw-logs', off, 'Full timestamps without ANSI coloring', NO_EFFECT),
  registryMirrors: flag('registry-mirror', none(), 'Preferred registry mirror', { key: 'registry-mirrors', ...RELOAD }),
  rootless: flag('rootless', off, 'Enable rootless mode; typically used with RootlessKit', { key: null, ...NOT_YET }),
  seccompProfile: flag('seccomp-profile', text('builtin'), 'Path to seccomp profile. Set to "unconfined" to disable the default seccomp profile'),
  selinuxEnabled: flag('selinux-enabled', off, 'Enable selinux support', NOT_YET),
  shutdownTimeout: flag('shutdown-timeout', number(15), 'Set the default shutdown timeout', RELOAD),
  storageDriver: flag('storage-driver', text(), 'Storage driver to use', { short: 's' }),
  storageOpts: flag('storage-opt', none(), 'Storage driver options', { key: 'storage-opts' }),
  swarmDefaultAdvertiseAddr: flag('swarm-default-advertise-addr', text(), 'Set default address or interface for swarm advertised address', NOT_YET),
  tls: flag('tls', off, 'Use TLS; implied by --tlsverify'),
  tlscacert: flag('tlscacert', text('~/.docker/ca.pem'), 'Trust certs signed only by this CA'),
  tlscert: flag('tlscert', text('~/.docker/cert.pem'), 'Path to TLS certificate file'),
  tlskey: flag('tlskey', text('~/.docker/key.pem'), 'Path to TLS key file'),
  tlsverify: flag('tlsverify', off, 'Use TLS and verify the remote'),
  userlandProxy: flag('userland-proxy', on, 'Use userland proxy for loopback traffic'),
  userlandProxyPath: flag('userland-proxy-path', text(), 'Path to the userland proxy binary', NO_EFFECT),
  usernsRemap: flag('userns-remap', text(), 'User/Group setting for user namespaces', NOT_YET),
  validate: flag('validate', off, 'Validate daemon configuration and exit', { key: null }),

  builder: fileOnly('builder', { kind: object, initial: new Map() }, NO_EFFECT),
  hostGatewayIp: fileOnly('host-gateway-ip', text()),
  networkDiagnosticPort: fileOnly('network-diagnostic-port', number(0), { ...RELOAD, status: 'without-effect' }),
  deprecatedKeyPath: fileOnly('deprecated-key-path', text(), NO_EFFECT),
  swarmRaftHeartbeatTick: fileOnly('swarm-raft-heartbeat-tick', number(0), NOT_YET),
  swarmRaftElectionTick: fileOnly('swarm-raft-election-tick', number(0), NOT_YET),
} as const;

export type OptionName = keyof typeof OPTIONS;

type Value<O> = O extends { readonly kind: Kind<infer T> } ? T : never;

/** The daemon's configuration: every option's value. */
export type Config = { readonly [N in OptionName]: Value<(typeof OPTIONS)[N]> };

/** The table as a list, for code that treats all options alike. */
export const optionList: readonly (readonly [OptionName, Option<unknown>])[] = Object.entries(OPTIONS) as never;

/** Values for some options; what is not there has its default. */
export type Values = ReadonlyMap<OptionName, unknown>;

/** The configuration with these values. */
export function withDefaults(values: Values): Config {
  const config: Record<string, unknown> = {};
  for (const [name, option] of optionList) config[name] = values.has(name) ? values.get(name) : option.initial;
  // The kinds have produced the values: the one place where that knowledge becomes a type.
  return config as Config;
}
