"""The structural parameters of a core: one whole number each, as jitted kernels take them."""

from __future__ import annotations

from typing import NamedTuple


class Parameters(NamedTuple):
    """Numbers that are not about one instruction class; each has its row in the TOML table."""

    issue_width: int  # instructions per cycle
    # instruction supply
    fetch_bytes_per_cycle: int
    fetch_queue_entries: int
    fetch_queue_entry_bytes: int
    multiple_slack_bytes: int  # narrow-encoding slack wanted before a multi-register transfer
    multiple_slack_window_cycles: int  # … or within this time after it
    # branches
    mispredict_cycles: int  # taken, or elsewhere, although the stream went on
    mispredict_early_flags_cycles: int  # when the flags were old enough
    fall_through_cycles: int  # not taken although the stream went to the target
    fall_through_early_flags_cycles: int
    early_flags_distance_cycles: int  # … that is, set this long before the branch
    indirect_mispredict_cycles: int
    decode_redirect_cycles: int  # direct branch that the BTAC did not know, redirected in decode
    btac_entries: int
    btac_ways: int
    predictor_counter_bits: int
    predictor_history_bits: int
    predictor_static_backward: int  # 1: an unknown backward branch is predicted taken
    return_stack_entries: int
    taken_branch_pairs_target: int  # 1: a predicted-taken branch pairs with its target
    # loads and stores
    bank_address_bit: int  # two accesses of a cycle conflict when this address bit is equal
    itcm_literals_conflict: int  # 1: two literal loads from ITCM never share a cycle
    transfer_words_per_cycle: int  # of multi-register transfers
    store_multiple_misaligned_cycles: int  # even register count at an address not 8-aligned
    unaligned_load_older_cycles: int
    unaligned_load_younger_cycles: int
    unaligned_load_paired_saving_cycles: int  # less, beside an aligned load of the lower bank
    unaligned_store_buffer_entries: int  # unaligned stores in a row that cost nothing
    unaligned_store_cycles: int  # each further one
    store_to_load_cycles: int  # store to load of the same address in a TCM
    store_buffer_to_load_cycles: int  # ... outside the TCMs
    store_to_load_window_bytes: int  # how near counts as the same address
    subword_store_rmw: int  # 1: sub-word TCM stores are read-modify-write (RAM with ECC)
    subword_store_same_bank_cycles: int
    subword_store_other_bank_cycles: int
    store_buffer_entries: int  # on the AXI side
    store_buffer_entry_bytes: int
    store_buffer_waiting_entries: int  # that may stay for merging; more make it drain
    linefill_buffers: int  # of the data side
    read_allocate_streak_lines: int  # full lines written in a row that stop store allocation
    # results
    writeback_early_add_cycles: int  # more, from a written-back base to an early ADD, SUB, MOV
    # predication
    predicate_change_cycles: int  # result of a predicated op to an op with another predicate
    predicate_change_beside_cycles: int  # … as unshifted operand of an inline-shift op
    predicate_change_limit_cycles: int
    # FPU
    fp_mac_block_cycles: int  # see AfterMac
    fma_after_mla_cycles: int  # a VFMA issues no earlier after a VMLA
    # knobs where sources disagree on pairing; named by `when` in the pair rules
    extend_uses_inline_shift: int
    inline_shift_blocks_branch: int
    # exceptions
    interrupt_entry_cycles: int
    sleep_wake_cycles: int
