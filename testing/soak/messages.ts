// What the proxy of the soak tells the test.
import type { ProxyMetrics } from 'soth-mitm';

export interface SoakStart {
  readonly port: number;
  readonly ca: string;
}

export type SoakResult = { readonly metrics: ProxyMetrics } | { readonly error: string };
