#!/usr/bin/env python3
"""Checks what the bench computes and writes, without measuring: statistics, templates, commands, tables, the page."""
import sys

sys.dont_write_bytecode = True  # leaves nothing behind in the repository

import unittest
from pathlib import Path

import measure
import report
from places import DOCS_PAGE, HERE
from rounds import in_turn
from scenarios import KINDS, ORIGIN_OF, SCENARIOS, TUNNELS, mode_of
from targets import TARGETS, Launch, targets_for
from templates import fill


def sample(target, number, cpu_us, **more):
    return dict(scenario='s', target=target, round=number, cpu_us=cpu_us, rps=1000.0, busy=1.0, p50=1000, p95=2000,
                p99=3000, p999=4000, errs=0, other_load=0, steal=0, **more)


ENV = dict(date='2030-01-02T03:04:05Z', cpu='Some CPU', cores=2, kernel='6.1.2-name', load=0.25, node='v24.1.0',
           programs={'haproxy': 'HAProxy version 2.6.12-1 2026/01/01'}, rounds=3, seconds=1.5)


class Statistics(unittest.TestCase):
    def test_median_and_range_over_the_rounds(self):
        row, = report.summarise([sample('a', 0, 30), sample('a', 1, 10), sample('a', 2, 20)], [])
        self.assertEqual((row['low'], row['cpu_us'], row['high'], row['rounds']), (10, 20, 30, 3))

    def test_ratios_are_taken_round_by_round(self):
        # The machine was ten times slower in the last round: the ratio does not notice.
        taken = [sample('a', 0, 10), sample('ref', 0, 5), sample('a', 1, 100), sample('ref', 1, 50)]
        row = report.summarise(taken, ['ref'])[0]
        self.assertEqual(row['ratios'], {'ref': 0.5})

    def test_a_failed_sample_counts_as_failed_and_nowhere_else(self):
        taken = [sample('a', 0, 10), dict(scenario='s', target='a', round=1, failed='TimeoutExpired')]
        row, = report.summarise(taken, [])
        self.assertEqual((row['rounds'], row['failed'], row['cpu_us']), (1, 1, 10))

    def test_a_target_that_only_failed_has_the_reason(self):
        row, = report.summarise([dict(scenario='s', target='a', round=0, failed='no HTTP/2')], ['a'])
        self.assertEqual((row['rounds'], row['reason'], row['ratios']), (0, 'no HTTP/2', {}))

    def test_errors_add_up(self):
        row, = report.summarise([{**sample('a', 0, 1), 'errs': 2}, {**sample('a', 1, 1), 'errs': 3}], [])
        self.assertEqual(row['errors'], 5)

    def test_through_the_shim_is_compared_with_through_the_shim(self):
        taken = [sample('a', 0, 10), sample('ref', 0, 1), sample('ref+shim', 0, 5)]
        rows = {row['target']: row['ratios'] for row in report.summarise(taken, ['ref'], {'ref'})}
        self.assertEqual(rows, {'a': {'ref': 0.5}, 'ref': {'ref': 1}, 'ref+shim': {'ref': 1}})

    def test_memory_is_the_main_figure_of_idle(self):
        idle = dict(scenario='idle', target='a', round=0, kb_per_conn=40.0, rss0_kb=1024, rss1_kb=2048, conns=9,
                    alive=9)
        row, = report.summarise([idle], [])
        self.assertEqual((row['low'], row['high']), (40, 40))
        self.assertIn('1 / 2', report.cells_of([row], [])[1][0])

    def test_percentiles(self):
        self.assertEqual(measure.percentiles(list(range(1000))), {'p50': 500, 'p95': 950, 'p99': 990, 'p999': 999})
        self.assertEqual(measure.percentiles([7]), {'p50': 7, 'p95': 7, 'p99': 7, 'p999': 7})
        self.assertEqual(measure.percentiles([]), {'p50': 0, 'p95': 0, 'p99': 0, 'p999': 0})

    def test_h2_answers_count_by_their_end(self):
        log = '\n'.join(f'{int(start * 1e6)}\t{status}\t{us}' for start, status, us in (
            (9.9, '200', 200_000),  # begun before the window, ended in it
            (9.9, '0', 150_000),  # the same, with its head in the warm-up
            (10.2, '500', 100_000),  # an error
            (10.3, '0', 100_000),  # no head although it began in the window
            (9.0, '200', 100_000),  # over before the window
            (10.95, '200', 100_000),  # over after it
            (10.9, '-1', 50_000),  # cut off at the end
        ))
        self.assertEqual(measure.answers_in_window(log, 10, 11), ([100_000, 100_000, 150_000, 200_000], 2))

    def test_streams_that_were_given_up(self):
        self.assertEqual(measure.lost_streams('requests: 9 total, 1 failed, 2 errored, 3 timeout'), 6)
        self.assertEqual(measure.lost_streams('nothing'), 0)

    def test_every_second_round_runs_backwards(self):
        self.assertEqual([in_turn('abc', number) for number in (0, 1)], [['a', 'b', 'c'], ['c', 'b', 'a']])


class Commands(unittest.TestCase):
    def launch(self, kind):
        return Launch(kind, 1234, Path('work'), 'node', {})

    def test_known_placeholders_are_filled_and_other_braces_stay(self):
        self.assertEqual(fill('{port} {what} { } {port}', port=80), '80 {what} { } 80')

    def test_configuration_files_are_filled_to_the_last_placeholder(self):
        names = ('work', 'certs', 'www', 'port', 'user', 'bump_port_options', 'bump_rules', *ORIGIN_OF.values(), *(f'{kind}_port' for kind in KINDS))
        for path in sorted((HERE / 'conf').iterdir()):
            self.assertNotRegex(fill(path.read_text(), **dict.fromkeys(names, 'x')), r'\{\w+\}', path.name)

    def test_ours_needs_no_command(self):
        argv, _, cwd = TARGETS['ours'].start_plan(self.launch('h1'))
        self.assertEqual((argv[0], argv[argv.index('--listen') + 1]), ('node', '127.0.0.1:1234'))
        self.assertEqual((argv[argv.index('--intercept') + 1], cwd), ('*:*', Path('work')))
        small, env, _ = TARGETS['ours-small'].start_plan(self.launch('h1'))
        self.assertEqual((small, env), (TARGETS['ours'].start_plan(self.launch('h1'))[0], {'NODE_OPTIONS': '--max-semi-space-size=16'}))
        same, env, _ = TARGETS['ours-log'].start_plan(self.launch('h1'))
        self.assertEqual((same, list(env)), (argv, ['SOTH_MITM_EVENT_LOG_V2_PATH']))

    def test_ours_tunnels_when_the_scenario_says_so(self):
        argv, _, _ = TARGETS['ours'].start_plan(self.launch('tunnel'))
        self.assertNotEqual(argv[argv.index('--intercept') + 1], '*:*')

    def test_a_given_command_replaces_ours_and_runs_where_the_user_is(self):
        ours = targets_for([('ours', "{node} 'my proxy.js' {port}")])['ours']
        self.assertEqual(ours.start_plan(self.launch('h1')), (['node', 'my proxy.js', '1234'], {}, None))
        self.assertEqual(ours.obstacle('tunnel'), 'no command for tunnel mode')
        self.assertIsNone(ours.obstacle('h2'))

    def test_one_command_with_a_mode_does_both(self):
        mine = targets_for([('mine', 'p {mode}')])['mine']
        self.assertEqual([mine.start_plan(self.launch(kind))[0] for kind in ('h1', 'tunnel')],
                         [['p', 'intercept'], ['p', 'tunnel']])

    def test_a_command_for_tunnels_alone_says_what_it_cannot_do(self):
        mine = targets_for([('mine:tunnel', 'p')])['mine']
        self.assertEqual((mine.obstacle('h1'), mine.obstacle('tunnel')), ('no command for intercept mode', None))

    def test_every_kind_has_an_origin_and_a_mode(self):
        self.assertEqual(set(ORIGIN_OF), set(KINDS))
        self.assertEqual({kind for kind in KINDS if mode_of(kind) == 'tunnel'}, set(TUNNELS))

    def test_h2load_is_for_load_and_the_load_client_for_what_is_idle(self):
        self.assertEqual([SCENARIOS[name].is_h2load for name in ('h2-1k', 'idle-h2', 'idle')], [True, False, False])

    def test_the_library_is_told_which_hook_to_have(self):
        self.assertEqual([TARGETS[name].start_plan(self.launch('ws'))[0][-1] for name in ('ours-handler', 'ours-chunks')],
                         ['onRequest', 'onStreamChunk'])

    def test_the_tables_of_scenarios_and_targets_know_the_same_kinds(self):
        self.assertLessEqual({scenario.kind for scenario in SCENARIOS.values()}, set(KINDS))
        for target in TARGETS.values():
            self.assertLessEqual(target.kinds, set(KINDS), target.name)


class Pages(unittest.TestCase):
    def test_numbers_have_about_three_digits(self):
        self.assertEqual([report.number(x) for x in (None, 0, 1.234, 12.34, 123.4, 12345)],
                         ['-', '0.00', '1.23', '12.3', '123', '12,345'])

    def test_columns_are_of_even_width(self):
        self.assertEqual(report.table(['a', 'long head'], [['1', '2'], ['wider', 'a|b']]),
                         '| a     | long head |\n| ----- | --------- |\n| 1     | 2         |\n| wider | a\\|b      |')

    def test_a_row_for_each_target(self):
        head, body = report.cells_of(report.summarise([sample('a', 0, 81), sample('ref', 0, 40.5)], ['ref']), ['ref'])
        self.assertEqual(head[:3], ['target', 'CPU us/req (min-max)', 'vs ref'])
        self.assertEqual(body[0], ['a', '81.0 (81.0-81.0)', '0.50', '1,000', '100%', '1.00 / 2.00 / 3.00 / 4.00', '0'])

    def test_streams_show_the_rate_and_the_delay_of_events(self):
        taken = [sample('a', 0, 81, first_p50=1000, first_p95=2000, events_rate=9876, event_p50=100, event_p95=200,
                        event_p99=300, events=9)]
        head, body = report.cells_of(report.summarise(taken, []), [])
        self.assertEqual(dict(zip(head, body[0]))['events/s'], '9,876')
        self.assertEqual(dict(zip(head, body[0]))['delivery p50/p95/p99 ms'], '0.10 / 0.20 / 0.30')

    def test_a_failed_target_fills_its_row(self):
        head, body = report.cells_of(report.summarise([dict(target='a', round=0, failed='why')], []), [])
        self.assertEqual((body[0][:2], len(body[0])), (['a', 'failed: why'], len(head)))

    def test_the_machine_in_a_line(self):
        self.assertEqual(report.machine_line(ENV),
                         'Measured on 2030-01-02: Some CPU, 2 cores, Linux 6.1, Node 24.1.0, haproxy 2.6.12; '
                         'load average 0.2 at the start; rounds: 3, of 1.5 s.')

    def test_noise_is_told_and_silence_is_not(self):
        self.assertEqual(report.noise([sample('a', 0, 1)]), '')
        self.assertIn('1 of 1 samples', report.noise([{**sample('a', 0, 1), 'steal': 0.4}]))

    def test_the_page_keeps_what_was_written_by_hand(self):
        page = f'before\n\n{report.BEGIN}\n\nold\n\n{report.END}\n\nafter\n'
        text = report.generated(ENV, [('s', 'what', ['a'], [['1']])], '')
        new = report.replace_generated(page, text)
        self.assertTrue(new.startswith('before\n') and new.endswith('\n\nafter\n') and 'old' not in new)
        self.assertEqual(report.replace_generated(new, text), new)

    def test_a_page_without_its_markers_is_refused(self):
        for page in ('', report.BEGIN, f'{report.END} {report.BEGIN}', f'{report.BEGIN}{report.END}' * 2):
            with self.assertRaises(ValueError):
                report.replace_generated(page, 'x')

    def test_the_page_of_the_repository_has_its_markers(self):
        self.assertIn('new text', report.replace_generated(DOCS_PAGE.read_text(encoding='utf8'), 'new text'))


if __name__ == '__main__':
    unittest.main()
