/** docs/benchmarks.md and the pictures in docs/benchmarks/, made of the recorded results. What people wrote into it stays. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { projectRoot } from '../test/fixtures/target.ts';
import { curves, ratios } from './plot.ts';
import type { Curve, RatioBar } from './plot.ts';
import { ratioOf, valueOf } from './results.ts';
import type { Result } from './results.ts';
import type { Measurement } from './rows.ts';
import { remarks, table } from './table.ts';

const DOCUMENT = path.join(projectRoot, 'docs/benchmarks.md');
const PICTURES = path.join(projectRoot, 'docs/benchmarks');
const BEGIN = '<!-- measured: written by `make bench BENCH_ARGS=--write` -->';
const END = '<!-- /measured -->';

/** Rewrites the measured part of the document, between its two marks, and all pictures. */
export function writeReport(results: readonly Result[], measurements: readonly Measurement[]): void {
  const pictures = draw(results);
  rmSync(PICTURES, { recursive: true, force: true });
  mkdirSync(PICTURES, { recursive: true });
  for (const [name, svg] of pictures) writeFileSync(path.join(PICTURES, name), svg);
  const text = readFileSync(DOCUMENT, 'utf8');
  const [before, rest] = split(text, BEGIN);
  const [, after] = split(rest, END);
  writeFileSync(DOCUMENT, `${before}${BEGIN}\n\n${body(results, measurements, [...pictures.keys()])}\n\n${END}${after}`);
}

function split(text: string, mark: string): [string, string] {
  const where = text.indexOf(mark);
  if (where < 0) throw new Error(`${DOCUMENT}: no line ${mark}`);
  return [text.slice(0, where), text.slice(where + mark.length)];
}

function body(results: readonly Result[], measurements: readonly Measurement[], pictures: readonly string[]): string {
  const byId = new Map(results.map((result) => [result.id, result]));
  const sections = measurements.flatMap(({ name, about, rows }) => {
    const own = rows.flatMap(({ id }) => byId.get(id) ?? []);
    if (own.length === 0) return [];
    return [`## ${name}\n\n${sentence(about)} ${circumstances(own)}\n\n${table(own)}${remarks(own).map((remark) => `\n\n${sentence(remark)}`).join('')}`];
  });
  const images = pictures.map((name) => `![${name.replace('.svg', '').replaceAll('-', ' ')}](benchmarks/${name})`);
  return [images.join('\n'), ...sections].join('\n\n');
}

const sentence = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1).replace(/\.$/, '')}.`;

function circumstances(results: readonly Result[]): string {
  const all = new Set(results.map(({ date, machine, commit }) => `${date.slice(0, 10)} on ${machine}, at ${commit}`));
  return `Measured ${[...all].join('; ')}.`;
}

function draw(results: readonly Result[]): Map<string, string> {
  const pictures = new Map<string, string>();
  const bars = results.flatMap((result): RatioBar[] => {
    const ratio = ratioOf(result);
    if (ratio === undefined || ratio <= 0 || result.curve !== undefined || result.unit === 'probes') return [];
    const goal = result.goal?.kind === 'at-most' ? undefined : result.goal?.value;
    return [{ label: result.title, ratio, lowerIsBetter: result.unit !== 'MB/s' && result.unit !== '1/s', ...(goal === undefined ? {} : { goal }) }];
  });
  if (bars.length > 0) pictures.set('ratios.svg', ratios('moored divided by dockerd; the tick is the goal', bars));
  for (const [name, points] of Map.groupBy(results.filter(({ curve }) => curve !== undefined), ({ curve }) => curve?.name ?? '')) {
    const lines = (['dockerd', 'moored'] as const).map((engine): Curve => ({ engine, points: points.flatMap((point) => pointOf(point, valueOf(point, engine))) }));
    pictures.set(`${name.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-')}.svg`, curves(name, points[0]?.unit ?? '', lines));
  }
  return pictures;
}

const pointOf = (result: Result, y: number | undefined): (readonly [number, number])[] => (y === undefined || result.curve === undefined ? [] : [[result.curve.x, y]]);

