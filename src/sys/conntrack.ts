/**
 * Removes connection tracking entries (ctnetlink). NAT is decided by a flow's first packet: a UDP client that spoke
 * to a port before it was published, or goes on after it was withdrawn, would be held to the old decision.
 */
import { isIPv4 } from 'node:net';
import { addressOfBytes, formatAddress } from '../base/cidr.ts';
import { attr, attr16be, attr8, nested, parseAttributes } from './netlink.ts';
import type { Attributes, NetlinkSocket } from './netlink.ts';

const NFNL_SUBSYS_CTNETLINK = 1;
const IPCTNL_MSG_CT = { get: 1, delete: 2 } as const;
const CTA = { tupleOrig: 1, id: 12, filter: 25 } as const;
const CTA_TUPLE = { ip: 1, proto: 2 } as const;
const CTA_PROTO = { num: 1, dstPort: 3 } as const;
const CTA_IP = { v4Dst: 2, v6Dst: 4 } as const;
const CTA_FILTER_ORIG_FLAGS = 1;
/** Bits of the kernel's tuple filter. */
const FILTER_PROTO_NUM = 1 << 3;
const FILTER_PROTO_DST_PORT = 1 << 5;
const AF_INET = 2;
const AF_INET6 = 10;
const IPPROTO_UDP = 17;

export interface FlowDestination {
  /** The unspecified address stands for all of its family. */
  readonly address: string;
  readonly port: number;
}

/** Deletes the UDP flows to some ports of the host, on a netfilter socket. The kernel walks its whole table once per family. */
export function forgetUdpFlows(socket: NetlinkSocket, destinations: readonly FlowDestination[]): void {
  for (const family of [AF_INET, AF_INET6]) {
    const of = destinations.filter(({ address }) => isIPv4(address) === (family === AF_INET));
    if (of.length > 0) forgetFlowsOfFamily(socket, family, of);
  }
}

function forgetFlowsOfFamily(socket: NetlinkSocket, family: number, destinations: readonly FlowDestination[]): void {
  const [first] = destinations;
  const port = destinations.every((each) => each.port === first?.port) ? first?.port : undefined;
  const proto = [attr8(CTA_PROTO.num, IPPROTO_UDP), ...(port === undefined ? [] : [attr16be(CTA_PROTO.dstPort, port)])];
  const flags = port === undefined ? FILTER_PROTO_NUM : FILTER_PROTO_NUM | FILTER_PROTO_DST_PORT;
  const answers = socket.dump({
    type: (NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT.get,
    what: 'list connections',
    body: Buffer.concat([header(family), nested(CTA.tupleOrig, nested(CTA_TUPLE.proto, ...proto)), nested(CTA.filter, attr(CTA_FILTER_ORIG_FLAGS, flags))]),
  });
  // Kernels before 5.8 know no filter and give everything.
  const flows = answers.map(({ body }) => parseAttributes(body, 4)).filter((flow) => destinations.some((destination) => isTo(flow, destination)));
  socket.transact(flows.map((flow) => ({
    type: (NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT.delete,
    what: 'delete connection',
    tolerate: ['ENOENT'],
    body: Buffer.concat([header(family), nested(CTA.tupleOrig, flow.get(CTA.tupleOrig) ?? Buffer.alloc(0)), attr(CTA.id, flow.get(CTA.id) ?? Buffer.alloc(4))]),
  })));
}

function isTo(flow: Attributes, { address, port }: FlowDestination): boolean {
  const tuple = parseAttributes(flow.get(CTA.tupleOrig) ?? Buffer.alloc(0));
  const proto = parseAttributes(tuple.get(CTA_TUPLE.proto) ?? Buffer.alloc(0));
  if (proto.get(CTA_PROTO.num)?.[0] !== IPPROTO_UDP || proto.get(CTA_PROTO.dstPort)?.readUInt16BE(0) !== port) return false;
  if (address === '0.0.0.0' || address === '::') return true;
  const ip = parseAttributes(tuple.get(CTA_TUPLE.ip) ?? Buffer.alloc(0));
  const destination = ip.get(CTA_IP.v4Dst) ?? ip.get(CTA_IP.v6Dst);
  return destination !== undefined && formatAddress(addressOfBytes(destination)) === address;
}

/** struct nfgenmsg. */
const header = (family: number): Buffer => Buffer.from([family, 0, 0, 0]);
