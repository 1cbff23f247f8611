@ Pre- and post-indexed accesses of every size, up and down, in a loop.
@ expect r7=0
    ldr   r0, =0x20000400
    mov   r1, r0
    movs  r7, #5
1:  ldr   r2, [r0], #4
    strb  r7, [r1, #1]!
    ldrh  r3, [r0, #-2]!
    strh  r3, [r1], #2
    ldrsb r4, [r0, #6]!
    ldrsh r5, [r1], #-1
    str   r2, [r1, #9]!
    ldrb  r6, [r1], #-3
    subs  r7, #1
    bne   1b
    bx    lr
    .ltorg
