@ LDREX, STREX in byte, halfword and word form; the exchange succeeds.
@ expect r3=0
    ldr   r0, =0x20001000
    movs  r1, #7
    str   r1, [r0]
1:  ldrex r2, [r0]
    adds  r2, #1
    strex r3, r2, [r0]
    cmp   r3, #0
    bne   1b
2:  ldrexb r2, [r0]
    adds  r2, #1
    strexb r3, r2, [r0]
    cmp   r3, #0
    bne   2b
    adds  r0, #4
    ldrex r2, [r0, #4]
    strex r3, r2, [r0, #4]
    ldrexh r2, [r0]
    strexh r3, r2, [r0]
    clrex
    bx    lr
    .ltorg
