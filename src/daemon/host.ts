/** The engine's view of the host, put together from what the kernel room offers. */
import { existsSync, statSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { errnoOf, notFound } from '../base/errors.ts';
import type { HostPort } from '../core/ports/host.ts';
import type { CgroupTrees } from '../sys/cgroup.ts';
import { readLimitSupport } from '../sys/cgroupInfo.ts';
import { allDevices, deviceNumbers, devicesAt } from '../sys/devices.ts';
import { readHostFacts } from '../sys/hostFacts.ts';
import { bootId, describeHost, findExecutable, hostResolvConf } from '../sys/hostInfo.ts';
import { pathInRoot, readFileInRoot } from '../sys/inRoot.ts';
import { MNT_DETACH, mount, umount } from '../sys/mount.ts';

export function createHost(trees: CgroupTrees): HostPort {
  const facts = readHostFacts();
  const sys = readLimitSupport(trees);
  const info = describeHost();
  const boot = bootId();
  return {
    readFileInRoot,
    async pathInRoot(root, path) {
      const found = await pathInRoot(root, path);
      if (found === undefined) throw notFound(`${path}: no such file or directory`);
      return found;
    },
    exists: (path) => existsSync(path),
    async makeBindSource(path) {
      if (!existsSync(path)) await mkdir(path, { recursive: true, mode: 0o755 });
    },
    resolvConf: hostResolvConf,
    bootId: () => boot,
    facts: () => facts,
    devices: () => ({ at: devicesAt, all: () => allDevices(), numbers: deviceNumbers }),
    sysInfo: () => sys,
    initPath: () => findExecutable('docker-init', 'tini-static', 'tini'),
    async mountShm(path, sizeBytes) {
      await mkdir(path, { recursive: true, mode: 0o755 });
      if (isMountPoint(path)) return;
      await mount({ source: 'shm', target: path, type: 'tmpfs', flags: MS_NOSUID_NODEV_NOEXEC, data: `mode=1777,size=${sizeBytes}` });
    },
    async unmountShm(path) {
      try {
        await umount(path, MNT_DETACH);
      } catch (error) {
        if (errnoOf(error) !== 'EINVAL' && errnoOf(error) !== 'ENOENT') throw error;
      }
    },
    info: () => Promise.resolve(info),
  };
}

const MS_NOSUID_NODEV_NOEXEC = 0x2 | 0x4 | 0x8;

/** A tmpfs on it has another device than its parent. */
const isMountPoint = (path: string): boolean => statSync(path).dev !== statSync(`${path}/..`).dev;
