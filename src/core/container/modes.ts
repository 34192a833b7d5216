/** The small languages of Docker's mode strings: network, ipc, pid, uts, cgroup namespace. */

export const isHostMode = (mode: string): boolean => mode === 'host';
export const isContainerMode = (mode: string): boolean => mode.startsWith('container:');

/** The name or id in `container:<name|id>`, else empty. */
export const containerOfMode = (mode: string): string => (isContainerMode(mode) ? mode.slice('container:'.length) : '');

/** A network namespace of the container's own. */
export const isPrivateNetwork = (mode: string): boolean => !isHostMode(mode) && !isContainerMode(mode);

/** A network by its name or id, none of the modes. */
export const isUserDefinedNetwork = (mode: string): boolean =>
  !['', 'default', 'bridge', 'host', 'none'].includes(mode) && !isContainerMode(mode);

export const isValidIpcMode = (mode: string): boolean =>
  ['', 'none', 'private', 'shareable', 'host'].includes(mode) || containerOfMode(mode) !== '';
export const isValidPidMode = (mode: string): boolean => mode === '' || mode === 'host' || containerOfMode(mode) !== '';
export const isValidUtsMode = (mode: string): boolean => mode === '' || mode === 'host';
export const isValidCgroupnsMode = (mode: string): boolean => ['', 'host', 'private'].includes(mode);
export const isValidUsernsMode = (mode: string): boolean => mode === '' || mode === 'host';
