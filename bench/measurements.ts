/** The table of measurements, in the order in which they are run and reported. */
import { build } from './measurements/build.ts';
import { commands } from './measurements/commands.ts';
import { copy } from './measurements/copy.ts';
import { fleet, largeFleet, largeListing } from './measurements/fleet.ts';
import { idle } from './measurements/idle.ts';
import { images, layers } from './measurements/images.ts';
import { logRead } from './measurements/logRead.ts';
import { logWrite } from './measurements/logWrite.ts';
import { network, probe } from './measurements/network.ts';
import { requests } from './measurements/requests.ts';
import type { Measurement } from './rows.ts';

export const MEASUREMENTS: readonly Measurement[] = [idle, commands, fleet, requests, logWrite, logRead, images, layers, build, copy, network, probe, largeFleet, largeListing];
