/** Drawings of results as SVG text. No library: two kinds of picture are all there is. */

const COLOURS = { dockerd: '#8a94a3', moored: '#1f6feb', grid: '#dfe3e8', text: '#24292f', good: '#2da44e', bad: '#cf222e' };
const FONT = 'font-family="system-ui,sans-serif"';

const escape = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
const at = (value: number): string => value.toFixed(1);

function label(x: number, y: number, text: string, more = ''): string {
  return `<text x="${at(x)}" y="${at(y)}" fill="${COLOURS.text}" ${FONT} font-size="12" ${more}>${escape(text)}</text>`;
}

const line = (from: readonly [number, number], to: readonly [number, number], colour: string, more = ''): string =>
  `<line x1="${at(from[0])}" y1="${at(from[1])}" x2="${at(to[0])}" y2="${at(to[1])}" stroke="${colour}" ${more}/>`;

function picture(width: number, height: number, parts: readonly string[]): string {
  return [`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}">`, `<rect width="${width}" height="${height}" fill="#ffffff"/>`, ...parts, '</svg>', ''].join('\n');
}

export interface RatioBar {
  readonly label: string;
  /** moored divided by dockerd; positive. */
  readonly ratio: number;
  /** The goal for the ratio. */
  readonly goal?: number;
  /** Whether less is better. */
  readonly lowerIsBetter: boolean;
}

/** Horizontal bars from 1 (the same as dockerd) on a logarithmic scale; a tick where the goal is. Green is better, red worse. */
export function ratios(title: string, bars: readonly RatioBar[]): string {
  const [left, right, top, step, width] = [390, 60, 56, 20, 900];
  const height = top + bars.length * step + 16;
  const reach = Math.max(10, ...bars.flatMap(({ ratio, goal }) => [ratio, goal ?? 1]).map((value) => Math.max(value, 1 / value)));
  const decades = Math.ceil(Math.log10(reach));
  const x = (ratio: number): number => left + ((Math.log10(ratio) + decades) / (2 * decades)) * (width - left - right);
  const grid = Array.from({ length: 2 * decades + 1 }, (_, index) => 10 ** (index - decades)).flatMap((ratio) => [
    line([x(ratio), top - 8], [x(ratio), height - 12], COLOURS.grid),
    label(x(ratio), top - 14, `${Number(ratio.toPrecision(1))} ×`, 'text-anchor="middle"'),
  ]);
  const rows = bars.flatMap(({ label: name, ratio, goal, lowerIsBetter }, index) => {
    const y = top + index * step;
    const better = lowerIsBetter ? ratio <= 1 : ratio >= 1;
    return [
      label(left - 8, y + 12, name, 'text-anchor="end"'),
      `<rect x="${at(Math.min(x(1), x(ratio)))}" y="${at(y + 2)}" width="${at(Math.max(1, Math.abs(x(ratio) - x(1))))}" height="${step - 7}" fill="${better ? COLOURS.good : COLOURS.bad}"/>`,
      ...(goal === undefined ? [] : [line([x(goal), y], [x(goal), y + step - 3], COLOURS.text, 'stroke-width="2"')]),
      label(width - right + 8, y + 12, String(Number(ratio.toPrecision(2))), 'font-weight="bold"'),
    ];
  });
  return picture(width, height, [label(16, 22, title, 'font-weight="bold"'), ...grid, line([x(1), top - 8], [x(1), height - 12], COLOURS.text), ...rows]);
}

export interface Curve {
  readonly engine: 'dockerd' | 'moored';
  /** x and y, in the order of x. */
  readonly points: readonly (readonly [number, number])[];
}

/** Curves of both engines over a common axis that starts at zero. */
export function curves(title: string, unit: string, lines: readonly Curve[]): string {
  const [left, right, top, bottom, width, height] = [64, 20, 44, 34, 440, 260];
  const all = lines.flatMap(({ points }) => points);
  const most = ceiling(Math.max(...all.map(([, y]) => y), 0) || 1);
  const widest = Math.max(...all.map(([x]) => x), 1);
  const px = (x: number): number => left + (x / widest) * (width - left - right);
  const py = (y: number): number => height - bottom - (y / most) * (height - top - bottom);
  const grid = [0, 0.25, 0.5, 0.75, 1].flatMap((share) => [
    line([left, py(most * share)], [width - right, py(most * share)], COLOURS.grid),
    label(left - 6, py(most * share) + 4, String(Number((most * share).toPrecision(3))), 'text-anchor="end"'),
  ]);
  const ticks = [...new Set(all.map(([x]) => x))];
  // Ticks that would stand on each other are left out.
  const axis = ticks.filter((x, index) => index === ticks.length - 1 || px(ticks[index + 1] ?? x) - px(x) > 22).map((x) => label(px(x), height - bottom + 18, String(x), 'text-anchor="middle"'));
  const drawn = lines.flatMap(({ engine, points }, index) => [
    `<polyline fill="none" stroke="${COLOURS[engine]}" stroke-width="2" points="${points.map(([x, y]) => `${at(px(x))},${at(py(y))}`).join(' ')}"/>`,
    ...points.map(([x, y]) => `<circle cx="${at(px(x))}" cy="${at(py(y))}" r="3" fill="${COLOURS[engine]}"/>`),
    `<rect x="${left + index * 90}" y="30" width="10" height="10" fill="${COLOURS[engine]}"/>`,
    label(left + 14 + index * 90, 39, engine),
  ]);
  return picture(width, height, [label(16, 18, `${title}, ${unit}`, 'font-weight="bold"'), ...grid, ...axis, ...drawn]);
}

/** The next number above that is 1, 2, 4, 5 or 10 times a power of ten. */
function ceiling(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return ([1, 2, 4, 5, 10].find((factor) => factor * power >= value) ?? 10) * power;
}
