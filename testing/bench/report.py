"""From samples to what people read: medians and ratios, tables in Markdown, and the generated part of a page.

Nothing here measures or knows where files are, so that it can be checked by itself.
"""
import re
import statistics

BEGIN = '<!-- bench:begin -->'
END = '<!-- bench:end -->'

LEGEND = (
    'vs X: CPU of X divided by CPU of the target, round by round (above 1: cheaper than X). busy: share of the proxy\n'
    'core; well below 100 % the client is the limit, and rps and latency say nothing about the proxy.'
)


def number(value):
    """Three digits or so, as people read them; a dash for nothing."""
    if value is None:
        return '-'
    return f'{value:,.0f}' if value >= 100 else f'{value:.1f}' if value >= 10 else f'{value:.2f}'


def main_figure(samples):
    return 'kb_per_conn' if any('kb_per_conn' in sample for sample in samples) else 'cpu_us'


def ratios(reference, samples, figure):
    """The reference's figure divided by the target's, for every round that has both."""
    of_round = {sample['round']: sample[figure] for sample in reference if 'failed' not in sample}
    return [of_round[sample['round']] / sample[figure] for sample in samples
            if sample[figure] > 0 and of_round.get(sample['round'], 0) > 0]


def summarise(samples, baselines, direct=()):
    """Per target of one scenario: medians over the rounds, the range of the main figure, ratios taken round by round.

    `direct` names the targets without CONNECT: through the shim they are compared with each other and with the rest.
    """
    by_target = {}
    for sample in samples:
        by_target.setdefault(sample['target'], []).append(sample)
    figure = main_figure(samples)
    rows = []
    for name, taken in by_target.items():
        good = [sample for sample in taken if 'failed' not in sample]
        row = dict(target=name, rounds=len(good), failed=len(taken) - len(good),
                   errors=sum(sample.get('errs', 0) for sample in good), ratios={})
        rows.append(row)
        if not good:
            row['reason'] = taken[0]['failed']
            continue
        values = [sample[figure] for sample in good]
        row.update(low=min(values), high=max(values))
        keys = {key for sample in good for key, value in sample.items() if isinstance(value, (int, float))}
        for key in sorted(keys - {'round', 'errs'}):
            row[key] = statistics.median(sample[key] for sample in good if key in sample)
        for base in baselines:
            through_shim = name not in direct and f'{base}+shim' in by_target
            found = ratios(by_target.get(f'{base}+shim' if through_shim else base, []), good, figure)
            if found:
                row['ratios'][base] = statistics.median(found)
    return rows


def cells_of(rows, baselines):
    """Head and body of a scenario's table."""
    is_idle = any('kb_per_conn' in row for row in rows)
    is_sse = any('events' in row and 'first_p50' in row for row in rows)
    head = ['target', 'KiB/conn (min-max)' if is_idle else 'CPU us/req (min-max)']
    head += [f'vs {base}' for base in baselines]
    head += ['RSS before/after MiB', 'still open'] if is_idle else ['rps', 'busy', 'p50/p95/p99/p99.9 ms']
    head += ['first event p50/p95 ms', 'events/s', 'delivery p50/p95/p99 ms'] if is_sse else []
    head += ['errors']
    body = []
    for row in rows:
        if not row['rounds']:
            body.append([row['target'], f'failed: {row["reason"]}'] + [''] * (len(head) - 2))
            continue
        line = [row['target'], f'{number(row[main_figure([row])])} ({number(row["low"])}-{number(row["high"])})']
        line += [number(row['ratios'].get(base)) for base in baselines]
        if is_idle:
            line += [f'{row["rss0_kb"] / 1024:.0f} / {row["rss1_kb"] / 1024:.0f}',
                     f'{row["alive"]:.0f} of {row["conns"]:.0f}']
        else:
            line += [number(row['rps']), f'{row["busy"] * 100:.0f}%', in_ms(row, 'p50', 'p95', 'p99', 'p999')]
        line += [in_ms(row, 'first_p50', 'first_p95'), number(row.get('events_rate')),
                 in_ms(row, 'event_p50', 'event_p95', 'event_p99')] if is_sse else []
        body.append(line + [f'{row["errors"]}' + (f' + {row["failed"]} failed runs' if row['failed'] else '')])
    return head, body


def in_ms(row, *keys):
    return ' / '.join(number(row.get(key, 0) / 1000) for key in keys)


def table(head, body):
    """A Markdown table with columns of even width, as the formatter of the repository leaves it."""
    escaped = [[cell.replace('|', '\\|').replace('\n', ' ') for cell in line] for line in [head, *body]]
    widths = [max(3, *(len(line[column]) for line in escaped)) for column in range(len(head))]
    rule = ['-' * width for width in widths]
    return '\n'.join('| ' + ' | '.join(cell.ljust(width) for cell, width in zip(line, widths)) + ' |'
                     for line in [escaped[0], rule, *escaped[1:]])


def noise(samples):
    """A sentence about other load during the run, or nothing."""
    noisy = [sample for sample in samples if max(sample['other_load'], sample['steal']) > 0.05]
    if not noisy:
        return ''
    worst = max(noisy, key=lambda sample: max(sample['other_load'], sample['steal']))
    share = max(worst['other_load'], worst['steal'])
    return (f'Noise: {len(noisy)} of {len(samples)} samples had more than 5 % other load on the proxy core, or steal; '
            f'the worst {share:.0%} ({worst["scenario"]}, {worst["target"]}). Run again, or read the ratios only.')


def version(text):
    """The version number in a line that a program prints about itself."""
    found = re.search(r'\d+\.\d+(?:\.\d+)?', text or '')
    return found[0] if found else 'unknown'


def machine_line(env):
    """One paragraph: when, on what, with what."""
    kernel = '.'.join(env['kernel'].split('.')[:2])
    programs = ', '.join(f'{name} {version(text)}' for name, text in env['programs'].items())
    return (f'Measured on {env["date"][:10]}: {env["cpu"] or "unknown CPU"}, {env["cores"]} cores, Linux {kernel}, '
            f'Node {version(env["node"])}' + (f', {programs}' if programs else '')
            + f'; load average {env["load"]:.1f} at the start; rounds: {env["rounds"]}, of {env["seconds"]:g} s.')


def generated(env, sections, note):
    """The generated part of the page. `sections`: (name, text, head, body) for each scenario."""
    parts = [machine_line(env)]
    parts += [f'### {name}\n\n{text}.\n\n{table(head, body)}' for name, text, head, body in sections]
    return '\n\n'.join(parts + ([note] if note else []))


def replace_generated(page, text):
    """The page with what is between its markers replaced. Raises ValueError when it has not one pair of them."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in after:
        raise ValueError(f'the page needs one {BEGIN} with one {END} behind it')
    return f'{before}{BEGIN}\n\n{text}\n\n{END}{after}'
