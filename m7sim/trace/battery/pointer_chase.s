@ Bases that the block itself loads: kept until its end, used twice, destroyed, changed by constants.
    ldr   r0, =0x20000600
    add   r1, r0, #32
    add   r2, r0, #64
    str   r1, [r0]
    str   r2, [r0, #4]
    str   r2, [r1]
    str   r0, [r1, #4]
    str   r0, [r2]
    str   r1, [r2, #4]
    movs  r7, #9
1:  ldr   r0, [r0]
    subs  r7, #1
    bne   1b
    movs  r7, #4
2:  ldr   r3, [r0]
    ldr   r4, [r3, #4]
    ldr   r5, [r3]
    adds  r3, #4
    ldr   r6, [r3]
    ldr   r0, [r0, #4]
    ldr   r0, [r0]
    ldr   r6, [r6]
    ldr   r6, [r6, #4]
    subs  r7, #1
    bne   2b
    ldr   r3, [r0]
    ldr   r4, [r3]
    eor   r3, r3, r4
    ldr   r4, [r0, #4]
    ldr   r4, [r4, #4]
    movs  r4, #0
    bx    lr
    .ltorg
