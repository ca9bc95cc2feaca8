"""The fault matrix: what can go wrong, and the tests that prove what happens then, or why there is none.

Tests are named by their file under tests/ and their function; each of its parameters counts. docs/faults.md is
made of this and of what the tests last did (`faults.json`), by tests/faults/page.py.
"""

from dataclasses import dataclass

TITLES = {
    "A": "Processes die",
    "B": "Storage",
    "C": "Configuration",
    "D": "Data and numbers",
    "E": "Several at once",
    "F": "Services",
    "G": "Time",
    "H": "Hostile input",
    "I": "Serving",
}


@dataclass(frozen=True)
class Row:
    """One fault.

    Attributes:
        tests: "folder/test_file.py::test_function" of what proves it.
        note: what is not covered and why; with no tests, why there are none.
    """

    fault: str
    tests: tuple[str, ...] = ()
    note: str = ""


KILLED = "training/test_resume_killed.py::"
DISTURBED = "faults/test_disturbed.py::"
INTEGRITY = "flows/test_integrity.py::"
UNCHANGED = "flows/test_unchanged.py::"
RESUME = "training/test_resume.py::"
FUZZ = "faults/test_fuzz.py::"

ROWS = {
    "A1": Row(
        "`kill -9` of a training, at any moment and at each point of writing a state",
        (
            "training/test_resume_exact.py::test_killed_any_number_of_times",
            RESUME + "test_an_end_at_any_point_of_the_writer_leaves_a_whole_state",
            KILLED + "test_killed_at_each_point_of_the_writer",
            KILLED + "test_twenty_kills_at_random_moments",
            "faults/test_soak.py::test_two_hundred_kills_over_the_whole_graph",
        ),
    ),
    "A2": Row(
        "`dvc repro` or `bitladder run` killed: no stage outlives it, never two writers",
        (
            "flows/test_stage.py::test_a_stage_does_not_outlive_its_dvc",
            "flows/test_stage.py::test_a_second_writer_of_an_output_is_told_who_writes_it",
            "flows/test_run.py::test_stopping_it_stops_every_process_under_it",
            KILLED + "test_a_killed_dvc_is_run_again",
        ),
    ),
    "A3": Row(
        "Ctrl-C once, twice",
        (
            "training/test_resume_exact.py::test_a_signal_ends_it_after_the_step_with_a_state",
            KILLED + "test_ctrl_c_saves_and_a_second_one_does_not_wait",
        ),
    ),
    "A4": Row(
        "SIGTERM",
        (
            KILLED + "test_sigterm_is_a_state_within_the_grace_time",
            "flows/test_live_curves.py::test_a_stage_that_is_killed_is_killed_in_mlflow_and_goes_on_in_the_same_run",
        ),
    ),
    "A5": Row(
        "Prefect's server dies and does not come back",
        (
            "flows/test_run.py::test_a_walk_that_prefect_began_is_finished_without_it_and_nothing_runs_twice",
            "flows/test_run.py::test_the_server_may_die_and_the_work_goes_on",
            "flows/test_stage.py::test_the_server_may_die_while_the_stage_works",
        ),
    ),
    "A6": Row(
        "Prefect's server is restarted",
        ("flows/test_run.py::test_the_server_may_die_and_the_work_goes_on",),
        "the walk is finished without a server, so one that comes back changes nothing; with a pool the walk "
        "waits for it, which was tried by hand alone",
    ),
    "A7": Row(
        "a flow's process killed: its run is called Crashed, no server of its own is left",
        (
            "flows/test_stage.py::test_a_stage_that_is_stopped_is_crashed_for_prefect",
            "flows/test_servers.py::test_a_server_that_is_not_detached_dies_with_whoever_started_it",
        ),
    ),
    "A8": Row(
        "a Prefect worker killed: another machine goes on with its rung",
        (
            "flows/test_orders.py::test_a_stage_whose_worker_died_is_ordered_again",
            "flows/test_machines.py::test_a_rung_goes_on_in_the_other_clone_after_its_worker_was_killed",
        ),
    ),
    "A9": Row(
        "MLflow's server killed while a curve is shown",
        (
            "tracking/test_live_runs.py::test_a_delivery_cut_short_is_repeated_without_doubles",
            "flows/test_live_curves.py::test_a_server_that_never_answers_is_not_felt",
            "flows/test_live_curves.py::test_a_server_killed_in_between_costs_nothing_and_sync_delivers_each_point_once",
        ),
    ),
    "A10": Row(
        "PostgreSQL under MLflow killed and started again",
        (
            "tracking/test_live_runs.py::test_a_delivery_cut_short_is_repeated_without_doubles",
            "tracking/test_live_runs.py::test_mlflow_itself_keeps_a_point_once_that_is_sent_again",
        ),
        "we never talk to the database: to us it is a delivery that failed, which is repeated whole",
    ),
    "A11": Row(
        "killed in the middle of registering a model",
        (
            "tracking/test_publish.py::test_a_publication_cut_short_is_completed_on_the_same_runs",
            "tracking/test_server.py::test_a_server_that_dies_while_publishing_costs_seconds",
        ),
    ),
    "A12": Row(
        "one of several training processes killed, hung, failing",
        (
            "flows/test_torchrun.py::test_a_lost_process_is_made_good_for_as_long_as_that_gets_further",
            "training/test_parallel.py::"
            "test_a_process_that_is_killed_or_hangs_ends_the_job_and_the_next_goes_on_to_the_same_bytes",
        ),
    ),
    "A13": Row(
        "out of memory",
        (UNCHANGED + "test_too_little_memory_says_what_needs_less", DISTURBED + "test_too_little_memory"),
        "the kernel's own killer is a `kill -9` (A1); there is no automatic smaller batch, which would be another model",
    ),
    "A14": Row(
        "power loss: the newest files are empty or torn",
        (RESUME + "test_a_damaged_newest_falls_back_to_the_one_before",),
    ),
    "B1": Row(
        "disk full while a state is written",
        (
            RESUME + "test_a_disk_that_fails_ends_it_with_the_numbers_and_the_state_before",
            RESUME + "test_a_file_that_may_not_grow_is_a_failing_disk_too",
            DISTURBED + "test_the_disk_is_full",
        ),
    ),
    "B2": Row(
        "disk full while DVC caches an output",
        ("flows/test_plan_command.py::test_too_little_disk_is_a_warning",),
        "DVC's own writing; `bitladder plan` counts its copy before anything runs, `dvc gc` removes what it leaves",
    ),
    "B3": Row("no byte free at the start", (DISTURBED + "test_the_disk_is_full",)),
    "B4": Row("DVC's lock file torn", (UNCHANGED + "test_a_torn_file_of_dvcs_is_named_with_what_to_do",)),
    "B5": Row(
        "dvc.lock torn or with the marks of a merge",
        (UNCHANGED + "test_a_torn_file_of_dvcs_is_named_with_what_to_do",),
        "one that is cut at the end of a line is YAML, and empties what it lost: the run cache fills it again",
    ),
    "B6": Row(
        "a state or a model: cut, a bit flipped, a file missing or too many",
        (
            RESUME + "test_a_damaged_newest_falls_back_to_the_one_before",
            RESUME + "test_when_all_are_damaged_it_starts_anew_and_says_so",
            "test_files.py::test_a_changed_byte_is_found",
            "test_files.py::test_a_missing_and_an_extra_file_are_named",
            "test_verify.py::test_a_flipped_bit_is_found_and_its_file_named",
            INTEGRITY + "test_a_bit_of_an_output",
        ),
    ),
    "B7": Row(
        "a packed model: a bit flipped, padding set, scales that are no numbers, other shapes",
        (
            "runtime/test_runtime.py::test_one_flipped_bit_is_refused",
            "runtime/test_runtime.py::test_a_file_that_was_not_packed_so_is_refused_by_name",
            "packed/test_codes.py::test_a_bit_set_in_the_padding_is_refused",
            "packed/test_tensors.py::test_a_damaged_header_never_does_more_than_be_refused",
            "transformers_model/test_packed_bert.py::test_a_layer_norm_that_is_not_finite_is_refused_by_name",
            FUZZ + "test_a_damaged_packed_folder_is_loaded_rightly_or_refused",
        ),
    ),
    "B8": Row(
        "tables and lines of JSON: bits flipped, cut",
        (
            "data/test_tables.py::test_a_flipped_bit_is_never_read_as_other_rows",
            "data/test_tables.py::test_a_file_cut_short_is_refused",
            "data/own/test_own_loading.py::test_a_wrong_line_of_json_is_refused",
            "rows/test_reading_rows.py::test_a_bad_line_of_json_stops_nothing",
        ),
    ),
    "B9": Row(
        "an object of DVC's cache: a bit flipped, missing",
        (
            INTEGRITY + "test_a_bit_of_the_cache",
            INTEGRITY + "test_an_object_that_the_cache_has_lost",
            INTEGRITY + "test_with_every_copy_damaged_it_is_made_anew",
            "training/test_rows.py::test_a_file_that_was_changed_is_refused",
            "stages/test_pack.py::test_a_changed_rung_is_refused_and_nothing_is_published",
        ),
    ),
    "B10": Row(
        "an edit that keeps size and time",
        (
            INTEGRITY + "test_a_bit_of_an_output",
            "stages/test_augment.py::test_inputs_that_are_not_what_was_written_are_refused",
        ),
    ),
    "B11": Row(
        "an object of DVC's remote: a bit flipped; the store dies",
        (
            INTEGRITY + "test_a_bit_of_the_remote",
            INTEGRITY + "test_a_bit_in_s3",
            "flows/test_exchange.py::test_machines_need_a_remote_that_checks",
            "flows/test_exchange.py::test_a_shared_state_that_is_not_whole_is_not_used",
            "flows/test_exchange.py::test_a_store_that_fails_does_not_stop_the_training",
        ),
    ),
    "B12": Row(
        "a folder that may not be written, too many open files, a file where a folder should be, odd names of folders",
        (
            DISTURBED + "test_the_models_may_not_be_written",
            DISTURBED + "test_a_file_where_a_folder_should_be",
            RESUME + "test_a_folder_that_cannot_be_made_is_said_likewise",
            "tracking/test_odd_folders.py::test_the_store_lies_in_a_folder_of_any_name",
        ),
        "too many open files: a stage is content with ten at once",
    ),
    "C1": Row(
        "an unknown or misspelt key",
        ("problems/test_fields.py::test_an_unknown_key_is_refused_with_where_it_might_belong",),
    ),
    "C2": Row(
        "a wrong type; an empty or missing file",
        (
            "problems/test_fields.py::test_a_wrong_type_is_refused",
            "problems/test_reading.py::test_an_unreadable_file_has_one_clear_problem",
            "problems/test_reading.py::test_a_missing_file_or_a_folder_is_refused",
        ),
    ),
    "C3": Row(
        "values that are no numbers or out of range",
        (
            "problems/test_fields.py::test_a_value_out_of_range_is_refused",
            "problems/test_fields.py::test_a_value_that_is_not_finite_is_called_so",
            "problems/test_params_file.py::test_no_value_anywhere_leads_to_a_traceback",
        ),
    ),
    "C4": Row(
        "duplicate keys, tabs, bytes that are not UTF-8, dates, octal numbers, merge keys",
        (
            "problems/test_reading.py::test_an_unreadable_file_has_one_clear_problem",
            "problems/test_reading.py::test_numbers_and_words_mean_what_they_mean_to_dvc",
            "problems/test_reading.py::test_a_merge_key_means_what_it_says",
        ),
    ),
    "C5": Row(
        "a file that grows without end when it is read (aliases), or nests too deep",
        (FUZZ + "test_params_that_explode_are_refused_at_once",),
    ),
    "C6": Row(
        "text of a shell in a value",
        (
            "test_forbidden.py::test_no_file_has_it",
            "faults/test_matrix.py::test_no_text_of_params_reaches_a_shell",
        ),
    ),
    "C7": Row(
        "values that contradict each other",
        (
            "problems/test_params_file.py::test_once_the_fields_are_right_all_contradictions_come_at_once",
            "problems/test_ladder_problems.py::test_an_impossible_ladder_is_refused",
            "problems/test_precision_problems.py::test_what_does_not_fit_is_refused_with_what_would",
            "problems/test_distillation_problems.py::test_what_cannot_teach_is_refused",
            "problems/test_task_problems.py::test_a_contradiction_is_refused",
        ),
    ),
    "C8": Row(
        "parameters changed between a kill and going on, or while a stage runs",
        (
            RESUME + "test_another_fact_is_refused_with_both_values_and_what_to_do",
            UNCHANGED + "test_what_the_stage_is_made_from_is_named",
            KILLED + "test_changed_parameters_end_it_before_its_first_step",
            DISTURBED + "test_another_commit_is_checked_out_meanwhile",
        ),
    ),
    "D1": Row(
        "labels out of range, missing, of another type",
        (
            "kinds/test_checks.py::test_a_label_out_of_range_is_told_with_row_value_and_counts",
            "kinds/test_checks.py::test_a_missing_label_is_told",
            "kinds/test_checks.py::test_labels_of_another_type_are_refused",
            "stages/test_prepare.py::test_wrong_rows_are_refused_and_nothing_is_written",
        ),
    ),
    "D2": Row(
        "a loss, gradient, logit or weight that is no number",
        (
            "training/test_loop.py::test_a_loss_that_is_no_number_ends_it_naming_the_step_and_the_terms",
            "training/test_loop.py::test_a_gradient_that_is_no_number_ends_it_even_at_the_last_step",
            "training/test_divergence.py::test_the_last_good_state_stays_and_no_bad_one_is_written",
            "packed/test_writing.py::test_a_value_that_cannot_be_stored_exactly_is_refused_by_name",
            "tasks/test_scoring.py::test_logits_that_are_not_finite_have_no_score",
        ),
    ),
    "D3": Row(
        "no rows, a header alone, one row",
        (
            "kinds/test_checks.py::test_a_table_without_rows_is_refused",
            "kinds/test_checks.py::test_one_row_is_a_validation_split",
            "data/test_sources.py::test_a_header_without_rows_is_refused",
        ),
    ),
    "D4": Row(
        "bytes that are not UTF-8, quotes, line ends, tabs, endless lines",
        (
            "kinds/test_checks.py::test_bytes_that_are_not_utf8_are_told_by_row",
            "data/own/test_own_loading.py::test_a_quoted_text_may_hold_commas_quotes_and_line_ends_and_lines_are_counted",
            "rows/test_reading_rows.py::test_a_line_without_end_is_bad_and_is_not_kept",
            "rows/test_reading_rows.py::test_a_quote_that_is_not_closed_does_not_take_in_the_file",
        ),
    ),
    "D5": Row(
        "one class, one answer to all: an undefined score",
        (
            "kinds/test_metrics.py::test_matthews_is_scikit_learns_or_undefined_for_a_single_class",
            "tracking/test_choice.py::test_a_score_that_is_not_finite_is_never_best",
            "tracking/test_commands.py::test_a_rung_that_gives_one_answer_is_not_the_best_however_it_scores",
        ),
    ),
    "D6": Row(
        "texts that are very long, empty, of nothing that can be read",
        (
            "kinds/test_checks.py::test_text_without_a_visible_character_is_refused",
            "kinds/test_unseen_characters.py::test_a_text_of_which_nothing_is_left_is_refused_at_prepare_with_its_row",
            "test_predict.py::test_a_longer_text_than_the_model_reads_is_cut",
        ),
    ),
    "D7": Row(
        "rows that are in train and in what judges; augmented rows likewise",
        (
            "stages/test_prepare.py::test_duplicates_contradictions_and_overlaps_are_counted",
            "stages/test_augment.py::test_no_new_row_stands_in_a_split_that_judges",
        ),
    ),
    "D8": Row(
        "a teacher with other labels or another tokenizer",
        (
            "stages/test_given_teacher.py::test_other_labels_are_refused_with_both",
            "stages/test_given_teacher.py::test_another_number_of_labels_is_refused",
            "stages/test_given_teacher.py::test_the_tokenizer_of_another_model_is_refused_before_training",
        ),
    ),
    "D9": Row(
        "threads, order of files, hash seed, another process",
        (
            "training/test_resume_stages.py::test_another_number_of_threads_is_refused",
            "data/test_augmentation.py::test_misspellings_do_not_depend_on_the_process",
            "stages/test_prepare.py::test_the_same_seed_writes_the_same_bytes_and_another_seed_others",
            DISTURBED + "test_an_empty_environment",
        ),
        "weights are promised to be the same for one number of threads; with another one a training is refused",
    ),
    "E1": Row(
        "the same stage twice at once",
        (
            "flows/test_stage.py::test_a_second_writer_of_an_output_is_told_who_writes_it",
            DISTURBED + "test_the_same_stage_twice_at_once",
        ),
    ),
    "E2": Row(
        "two clones, one store; trainings of different parameters",
        (
            "flows/test_exchange.py::test_a_stage_run_elsewhere_is_cached_here",
            "flows/test_exchange.py::test_a_clone_with_other_inputs_refuses_and_names_them",
            RESUME + "test_another_models_states_are_its_own",
        ),
    ),
    "E3": Row(
        "two that register at once",
        (
            "tracking/test_registry.py::test_the_alias_is_the_best_of_the_evidence_whatever_was_published_when",
            "tracking/test_registry.py::test_an_alias_moved_by_somebody_else_meanwhile_is_set_again",
            "tracking/test_turns.py::test_turns_do_not_overlap",
            "tracking/test_turns.py::test_two_clones_register_at_once_and_each_model_is_there_once",
        ),
    ),
    "E4": Row(
        "going on with a training that is being gone on with",
        (
            "flows/test_stage.py::test_a_second_writer_of_an_output_is_told_who_writes_it",
            DISTURBED + "test_the_same_stage_twice_at_once",
        ),
    ),
    "E5": Row(
        "the same again, nothing changed",
        (
            "tracking/test_register_stage.py::test_the_second_time_there_is_nothing_to_do",
            "tracking/test_publish.py::test_publishing_twice_changes_nothing",
        ),
    ),
    "F1": Row(
        "MLflow absent, never answering, failing, of another make",
        (
            "tracking/test_store.py::test_a_dead_server_costs_seconds_and_one_sentence",
            "tracking/test_store.py::test_a_server_that_never_answers_is_given_up",
            "tracking/test_store.py::test_other_addresses_are_refused_with_what_would_do",
            "tracking/test_store.py::test_a_database_that_is_none_is_told_in_one_sentence",
            "flows/test_live_curves.py::test_a_server_that_is_not_there_costs_the_stage_a_moment_at_its_end",
        ),
    ),
    "F2": Row(
        "Prefect absent or not answering",
        (
            "flows/test_stage.py::test_a_server_that_does_not_answer_costs_one_line",
            "flows/test_servers.py::test_nobody_waits_for_a_server_that_does_not_answer",
        ),
    ),
    "F3": Row(
        "the store for several machines absent",
        ("flows/test_exchange.py::test_a_store_that_fails_does_not_stop_the_training",),
    ),
    "F4": Row(
        "a port that is taken, a stranger who answers there",
        (
            "flows/test_servers.py::test_a_folders_ports_are_the_same_each_time_and_give_way_to_who_has_them",
            "flows/test_servers.py::test_down_leaves_a_process_alone_that_was_given_the_pid",
            "serving/test_served.py::test_an_address_that_is_taken_is_one_sentence",
        ),
    ),
    "G1": Row(
        "the clock set back or forth between runs",
        (
            "tracking/test_registry.py::test_the_alias_is_the_best_of_the_evidence_whatever_was_published_when",
            DISTURBED + "test_the_clock_is_set_while_a_training_lies_stopped",
        ),
    ),
    "G2": Row(
        "the clock set while something runs",
        ("faults/test_matrix.py::test_no_duration_is_taken_from_the_clock",),
    ),
    "H1": Row(
        "pickles under the names of weights and states",
        (
            "packed/test_tensors.py::test_a_pickle_of_that_name_is_refused",
            "test_files.py::test_what_a_loader_would_read_is_promised_or_refused",
            "test_forbidden.py::test_no_file_has_it",
            FUZZ + "test_a_pickle_is_never_run",
        ),
    ),
    "H2": Row(
        "a config that names code, huge sizes, deep or double JSON",
        (
            "packed/test_tensors.py::test_what_is_no_plain_json_is_refused",
            "packed/test_tensors.py::test_a_header_that_lies_is_refused",
            FUZZ + "test_a_config_that_lies_is_refused_before_memory_is_taken",
        ),
    ),
    "H3": Row("`../`, absolute paths, links in a manifest", (FUZZ + "test_a_manifest_leads_nowhere_else",)),
    "H4": Row("archives that lead elsewhere or never end", note="no archive is unpacked anywhere"),
    "H5": Row(
        "HTML, formulas and control characters in labels and texts",
        (
            "stages/test_report.py::test_markup_in_data_is_shown_not_obeyed",
            "test_shown.py::test_control_characters_do_not_reach_the_terminal",
            "answers/test_answers.py::test_an_answer_is_printed_without_control_characters_and_kept_with_them",
            "reporting/test_search_page.py::test_names_are_escaped",
            "faults/test_hostile_names.py::test_no_page_has_their_markup",
            "faults/test_hostile_names.py::test_no_terminal_gets_control_characters",
            "faults/test_hostile_names.py::test_no_spreadsheet_has_a_formula",
        ),
    ),
    "H6": Row(
        "a model of MLflow's that is code",
        ("tracking/test_delivered.py::test_the_champion_is_the_registered_folder_and_is_kept",),
        "what is served from MLflow is the packed folder that it keeps, read by our loader; MLflow's own is never asked to load",
    ),
    "I1": Row(
        "bodies that are no JSON, no text, of another type",
        ("serving/test_app.py::test_what_cannot_be_answered_is_refused_in_one_line",),
    ),
    "I2": Row(
        "JSON that nests without end",
        (
            "serving/test_app.py::test_what_cannot_be_answered_is_refused_in_one_line",
            FUZZ + "test_a_body_of_any_bytes_has_an_answer",
        ),
    ),
    "I3": Row(
        "bodies too large, too many rows",
        (
            "serving/test_app.py::test_a_body_whose_length_nobody_said_is_limited_too",
            "serving/test_app.py::test_a_body_far_over_the_limit_is_not_even_read",
            "serving/test_served.py::test_who_sends_too_much_is_told_so",
        ),
    ),
    "I4": Row(
        "clients that go away, come all at once",
        (
            "serving/test_batching.py::test_who_goes_away_leaves_the_others_answered",
            "serving/test_batching.py::test_what_does_not_fit_into_the_queue_is_refused_at_once_and_later_taken",
            "serving/test_app.py::test_a_full_queue_says_when_to_come_again",
            "serving/test_served.py::test_many_clients_have_their_own_answers_and_sigterm_ends_it_in_peace",
        ),
        "slow senders are uvicorn's to bear; put a proxy before it on an open network",
    ),
    "I5": Row(
        "SIGTERM while answering; the model replaced on disk; a failure of the model",
        (
            "serving/test_served.py::test_sigterm_lets_a_request_finish_that_has_come",
            "runtime/test_runtime.py::test_a_file_that_is_replaced_after_it_was_checked_is_not_read",
            "serving/test_batching.py::test_a_failure_of_the_model_is_a_line_and_the_next_request_is_answered",
        ),
    ),
    "I6": Row(
        "made-up inputs without number",
        (
            FUZZ + "test_a_damaged_packed_folder_is_loaded_rightly_or_refused",
            FUZZ + "test_a_body_of_any_bytes_has_an_answer",
            FUZZ + "test_a_file_of_any_rows_has_an_answer_or_a_line",
            FUZZ + "test_what_describes_a_model_is_read_or_refused",
            FUZZ + "test_what_was_found_stays_refused",
            "problems/test_params_file.py::test_no_text_leads_to_a_traceback",
            FUZZ + "test_the_server_does_what_its_openapi_says",
            "faults/test_soak.py::test_a_million_inputs",
        ),
    ),
}
