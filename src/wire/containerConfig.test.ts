import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeCreate, decodeExecCreate, decodeExecStart, decodeUpdate } from './containerBodies.ts';
import { ContainerConfigCodec, HostConfigCodec } from './containerConfig.ts';
import { decode, decodeBody, encodeJson } from './goJson.ts';
import { emptyHostConfig } from './hostConfig.ts';

test('an empty HostConfig, as Docker 28 shows it: order, nulls and empty lists', () => {
  assert.equal(encodeJson(HostConfigCodec, emptyHostConfig()), [
    '{"Binds":null,"ContainerIDFile":"","LogConfig":{"Type":"","Config":{}},"NetworkMode":"","PortBindings":{},',
    '"RestartPolicy":{"Name":"no","MaximumRetryCount":0},"AutoRemove":false,"VolumeDriver":"","VolumesFrom":null,"ConsoleSize":[0,0],',
    '"CapAdd":null,"CapDrop":null,"CgroupnsMode":"","Dns":[],"DnsOptions":[],"DnsSearch":[],"ExtraHosts":null,"GroupAdd":null,"IpcMode":"",',
    '"Cgroup":"","Links":null,"OomScoreAdj":0,"PidMode":"","Privileged":false,"PublishAllPorts":false,"ReadonlyRootfs":false,"SecurityOpt":null,',
    '"UTSMode":"","UsernsMode":"","ShmSize":0,"Isolation":"","CpuShares":0,"Memory":0,"NanoCpus":0,"CgroupParent":"","BlkioWeight":0,',
    '"BlkioWeightDevice":[],"BlkioDeviceReadBps":[],"BlkioDeviceWriteBps":[],"BlkioDeviceReadIOps":[],"BlkioDeviceWriteIOps":[],"CpuPeriod":0,',
    '"CpuQuota":0,"CpuRealtimePeriod":0,"CpuRealtimeRuntime":0,"CpusetCpus":"","CpusetMems":"","Devices":[],"DeviceCgroupRules":null,',
    '"DeviceRequests":null,"MemoryReservation":0,"MemorySwap":0,"MemorySwappiness":null,"OomKillDisable":null,"PidsLimit":null,"Ulimits":[],',
    '"CpuCount":0,"CpuPercent":0,"IOMaximumIOps":0,"IOMaximumBandwidth":0,"MaskedPaths":null,"ReadonlyPaths":null}',
  ].join(''));
});

test('an empty Config', () => {
  assert.equal(encodeJson(ContainerConfigCodec, decode(ContainerConfigCodec, null)), [
    '{"Hostname":"","Domainname":"","User":"","AttachStdin":false,"AttachStdout":false,"AttachStderr":false,"Tty":false,"OpenStdin":false,',
    '"StdinOnce":false,"Env":[],"Cmd":null,"Image":"","Volumes":null,"WorkingDir":"","Entrypoint":null,"OnBuild":null,"Labels":{}}',
  ].join(''));
});

/** What `docker run -d --name x -p 8080:80 -v v:/data --mount … --restart on-failure:3 busybox top` sends, shortened. */
const BODY = `{"Hostname":"","Env":["A=1"],"Cmd":["top"],"Image":"busybox","ExposedPorts":{"80/tcp":{}},"Volumes":{},"Entrypoint":null,"Labels":{"a":"b"},
 "Healthcheck":{"Test":["CMD-SHELL","true"],"Interval":5000000000},"StopTimeout":3,"Unknown":{"x":1},
 "HostConfig":{"Binds":["v:/data"],"PortBindings":{"80/tcp":[{"HostIp":"","HostPort":"8080"}],"53":null},"RestartPolicy":{"Name":"on-failure","MaximumRetryCount":3},
  "ConsoleSize":[24,80],"Memory":9007199254740993,"MemorySwappiness":-1,"PidsLimit":0,"Init":true,"OomKillDisable":false,"NetworkMode":"mynet",
  "Mounts":[{"Type":"volume","Source":"w","Target":"/w","VolumeOptions":{"NoCopy":true,"DriverConfig":{"Name":"local","Options":{"o":"x"}}}},{"Type":"tmpfs","Target":"/t","TmpfsOptions":{"SizeBytes":1048576,"Mode":511}}],
  "Ulimits":[{"Name":"nofile","Soft":1,"Hard":2}],"Devices":[{"PathOnHost":"/dev/fuse","PathInContainer":"","CgroupPermissions":""}]},
 "NetworkingConfig":{"EndpointsConfig":{"mynet":{"IPAMConfig":{"IPv4Address":"10.0.0.9"},"Aliases":["a"],"DriverOpts":null}}}}`;

test('a create body', () => {
  const { config, host, networks } = decodeCreate(BODY);
  assert.deepEqual(config.exposedPorts, ['80/tcp']);
  assert.equal(config.healthcheck?.intervalNs, 5_000_000_000n);
  assert.deepEqual([config.cmd, config.entrypoint, config.stopTimeout], [['top'], null, 3]);
  assert.equal(host.memory, 9007199254740993n);
  assert.deepEqual({ ...host.portBindings }, { '80/tcp': [{ hostIp: '', hostPort: '8080' }], '53/tcp': [{ hostIp: '', hostPort: '' }] });
  assert.deepEqual([host.consoleSize, host.pidsLimit, host.init, host.oomKillDisable], [[24, 80], 0n, true, false]);
  assert.deepEqual(host.devices, [{ pathOnHost: '/dev/fuse', pathInContainer: '/dev/fuse', cgroupPermissions: 'rwm' }]);
  assert.deepEqual(host.mounts[0], { type: 'volume', source: 'w', target: '/w', readOnly: false, consistency: '', volume: { noCopy: true, labels: {}, subpath: '', driver: { name: 'local', options: { o: 'x' } } } });
  assert.equal(host.mounts[1]?.tmpfs?.sizeBytes, 1048576n);
  assert.deepEqual([networks['mynet']?.ipv4Address, networks['mynet']?.aliases], ['10.0.0.9', ['a']]);
  const again = decodeBody(HostConfigCodec, encodeJson(HostConfigCodec, host));
  assert.deepEqual(again, host);
});

test('what a create body cannot say', () => {
  assert.throws(() => decodeCreate('{"HostConfig":{"Memory":"1g"}}'), /invalid JSON: json: cannot unmarshal string into Go struct field .*Memory of type int64/);
  assert.throws(() => decodeCreate('{"HostConfig":{"RestartPolicy":{"Name":"maybe"}}}'), { message: "invalid restart policy: unknown policy 'maybe'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'" });
  assert.throws(() => decodeCreate('{"HostConfig":{"Mounts":[{"Type":"odd","Target":"/x"}]}}'), { message: 'invalid mount config for type "odd": mount type unknown' });
  assert.equal(decodeCreate('{"MacAddress":"02:00:00:00:00:01"}').networks['default']?.macAddress, '02:00:00:00:00:01');
});

test('update and exec bodies', () => {
  assert.equal(decodeUpdate('{"Memory":5,"RestartPolicy":{"Name":""}}').restartPolicy, undefined);
  assert.equal(decodeUpdate('{"RestartPolicy":{"Name":"no"}}').restartPolicy?.name, 'no');
  assert.throws(() => decodeExecCreate('{"Cmd":[]}'), { message: 'No exec command specified' });
  assert.deepEqual(decodeExecCreate('{"Cmd":["ls"],"ConsoleSize":[1,2],"Tty":true}').consoleSize, [1, 2]);
  assert.throws(() => decodeExecStart('{"ConsoleSize":[1,2]}'), /console size/);
});
