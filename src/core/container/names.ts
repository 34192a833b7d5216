/** Names for containers that got none: a quality and somebody who is worth remembering. */

const QUALITIES = [
  'able', 'agile', 'alert', 'amber', 'ample', 'bold', 'brave', 'bright', 'brisk', 'calm', 'candid', 'civil', 'clear',
  'clever', 'cosy', 'crisp', 'deft', 'eager', 'early', 'earnest', 'exact', 'fair', 'fearless', 'firm', 'fond', 'frank',
  'gentle', 'glad', 'golden', 'grand', 'hardy', 'hearty', 'honest', 'humble', 'jolly', 'keen', 'kind', 'lively', 'loyal',
  'lucid', 'merry', 'mild', 'neat', 'nimble', 'noble', 'patient', 'placid', 'plucky', 'proud', 'quick', 'quiet', 'ready',
  'robust', 'serene', 'silent', 'sincere', 'steady', 'stout', 'sunny', 'swift', 'tidy', 'tranquil', 'upright', 'vivid',
  'warm', 'wise', 'witty', 'zealous',
];

const PEOPLE = [
  'abel', 'agnesi', 'anning', 'avicenna', 'babbage', 'banu', 'barre', 'beaufort', 'bering', 'bernoulli', 'boole', 'brahe',
  'bunsen', 'carson', 'cauchy', 'celsius', 'cook', 'curie', 'davy', 'diesel', 'dijkstra', 'drake', 'elcano', 'erdos',
  'euler', 'faraday', 'fermi', 'fourier', 'galois', 'gauss', 'germain', 'godel', 'halley', 'hamilton', 'harrison',
  'hawking', 'hertz', 'hopper', 'hubble', 'humboldt', 'huygens', 'hypatia', 'joule', 'kepler', 'khayyam', 'lagrange',
  'leavitt', 'leibniz', 'lovelace', 'magellan', 'maxwell', 'mendel', 'mercator', 'nansen', 'noether', 'ohm', 'pascal',
  'ptolemy', 'ramanujan', 'ride', 'shackleton', 'somerville', 'tesla', 'torricelli', 'turing', 'volta', 'watt', 'wiener',
];

export interface NameContext {
  /** Whole numbers below a bound. */
  readonly random: (bound: number) => number;
  readonly taken: (name: string) => boolean;
}

/** A name that nobody has: `keen_lovelace`, with a digit after some attempts, with more if need be. */
export function randomName({ random, taken }: NameContext): string {
  for (let attempt = 0; ; attempt += 1) {
    const base = `${QUALITIES[random(QUALITIES.length)] ?? ''}_${PEOPLE[random(PEOPLE.length)] ?? ''}`;
    const name = attempt < 3 ? base : `${base}${random(10 ** Math.min(attempt - 2, 9))}`;
    if (!taken(name)) return name;
  }
}
