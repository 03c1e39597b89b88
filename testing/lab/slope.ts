// How fast a figure grows, by all of its samples rather than by the first and the last.

export interface Sample {
  readonly atMs: number;
  readonly value: number;
}

/** The slope of the line that fits best, per minute; 0 for fewer than two samples. */
export function slopePerMinute(samples: readonly Sample[]): number {
  const count = samples.length;
  if (count < 2) return 0;
  const meanMs = samples.reduce((sum, { atMs }) => sum + atMs, 0) / count;
  const mean = samples.reduce((sum, { value }) => sum + value, 0) / count;
  let covariance = 0;
  let variance = 0;
  for (const { atMs, value } of samples) {
    covariance += (atMs - meanMs) * (value - mean);
    variance += (atMs - meanMs) ** 2;
  }
  return variance === 0 ? 0 : (covariance / variance) * 60_000;
}
