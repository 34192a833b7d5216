/** Platforms as `os/architecture/variant`, normalised and ranked as containerd's `platforms` package does it. */
import { invalid } from '../../base/errors.ts';

export interface Platform {
  readonly os: string;
  readonly architecture: string;
  /** Empty: none. */
  readonly variant: string;
}

const NODE_ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64', arm: 'arm', ia32: '386' };

const ARCHITECTURE_ALIASES: Readonly<Record<string, readonly [string, string]>> = {
  i386: ['386', ''],
  x86_64: ['amd64', ''],
  'x86-64': ['amd64', ''],
  aarch64: ['arm64', ''],
  armhf: ['arm', 'v7'],
  armel: ['arm', 'v6'],
};

/** What this machine runs best. */
export const hostPlatform = (nodeArchitecture: string = process.arch): Platform =>
  normalizePlatform({ os: 'linux', architecture: NODE_ARCHITECTURES[nodeArchitecture] ?? nodeArchitecture, variant: '' });

/** One spelling for each platform: `linux/aarch64/8` and `linux/arm64` are the same. */
export function normalizePlatform(platform: Platform): Platform {
  const os = platform.os.toLowerCase() === 'macos' ? 'darwin' : platform.os.toLowerCase();
  const written = platform.architecture.toLowerCase();
  const [architecture, implied] = ARCHITECTURE_ALIASES[written] ?? [written, ''];
  const given = implied === '' ? platform.variant.toLowerCase() : implied;
  const variant = /^\d+(\.\d+)?$/.test(given) ? `v${given}` : given;
  return { os, architecture, variant: defaultVariant(architecture, variant) };
}

function defaultVariant(architecture: string, variant: string): string {
  if (architecture === 'arm64' && (variant === 'v8' || variant === 'v8.0')) return '';
  if (architecture === 'amd64' && variant === 'v1') return '';
  if (architecture === 'arm' && variant === '') return 'v7';
  return variant;
}

/** `linux/arm64/v8`, `linux/amd64` or `arm64`; throws `invalid` otherwise. Empty: the host's. */
export function parsePlatform(text: string): Platform {
  if (text === '') return hostPlatform();
  const parts = text.split('/');
  if (parts.length > 3 || parts.some((part) => !/^[A-Za-z0-9_.-]+$/.test(part))) {
    throw invalid(`"${text}": invalid platform specifier: must be in the form os[/architecture[/variant]]`);
  }
  const [first = '', second, variant = ''] = parts;
  if (second !== undefined) return normalizePlatform({ os: first, architecture: second, variant });
  if (['linux', 'windows', 'darwin', 'freebsd'].includes(first.toLowerCase())) {
    return { ...hostPlatform(), os: first.toLowerCase() };
  }
  return normalizePlatform({ os: 'linux', architecture: first, variant: '' });
}

export const formatPlatform = ({ os, architecture, variant }: Platform): string =>
  [os, architecture, variant].filter((part) => part !== '').join('/');

/** How well an image for `candidate` runs where `wanted` is asked for: 0 best, undefined not at all. */
export function platformRank(wanted: Platform, candidate: Platform): number | undefined {
  const normal = normalizePlatform(candidate);
  const rank = acceptable(normalizePlatform(wanted)).findIndex((one) =>
    one.os === normal.os && one.architecture === normal.architecture && one.variant === normal.variant);
  return rank < 0 ? undefined : rank;
}

/** The platform itself and the older ones that it also runs, best first. */
function acceptable(platform: Platform): Platform[] {
  const { os, architecture, variant } = platform;
  const level = Number(/^v(\d+)/.exec(variant)?.[1] ?? (architecture === 'arm64' ? 8 : 1));
  const variants = (name: string, highest: number, lowest: number): Platform[] =>
    Array.from({ length: Math.max(0, highest - lowest + 1) }, (_, index) =>
      normalizePlatform({ os, architecture: name, variant: `v${highest - index}` }));
  switch (architecture) {
    case 'amd64': return [...variants('amd64', level, 1), { os, architecture: '386', variant: '' }];
    case 'arm64': return [platform, ...variants('arm64', level, 8), ...variants('arm', 8, 5)];
    case 'arm': return variants('arm', level, 5);
    default: return [platform];
  }
}
