@ TBB and TBH: the table read is an access, relative to pc.
@ expect r2=33
    push  {r4, lr}
    movs  r4, #0
1:  tbb   [pc, r4]
2:  .byte (3f - 2b) / 2, (4f - 2b) / 2, (5f - 2b) / 2, (6f - 2b) / 2
3:  adds  r4, #1
    b     1b
4:  adds  r4, #2
    b     1b
5:  nop
6:  subs  r4, #3
7:  tbh   [pc, r4, lsl #1]
8:  .hword (9f - 8b) / 2, (10f - 8b) / 2
9:  adds  r4, #1
    b     7b
10: adr   r3, 11f
    movs  r4, #1
    tbb   [r3, r4]
12: .hword 0
    movs  r2, #33
    pop   {r4, pc}
    .balign 4
11: .byte 0, 1, 1, 0
