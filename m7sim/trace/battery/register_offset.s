@ Register offsets with shifts; an index that a load produced.
@ expect r3=3
    ldr   r0, =0x20000500
    movs  r1, #3
    movs  r2, #5
    str   r1, [r0, r1, lsl #2]
    strb  r2, [r0, r2]
    strh  r2, [r0, r1, lsl #1]
    ldr   r3, [r0, r1, lsl #2]
    ldr   r4, [r0, r3, lsl #3]
    ldrb  r5, [r0, r4]
    add   r6, r0, r3, lsl #4
    ldrsh r6, [r6, r2, lsl #1]
    rsb   r7, r1, #8
    ldr   r7, [r0, r7, lsl #2]
    mul   r7, r1, r2
    ldrb  r7, [r0, r7]
    bx    lr
    .ltorg
