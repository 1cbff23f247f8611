@ Unaligned words and halfwords, also across a page of 4 KiB.
@ expect r2=0x78001234
    ldr   r0, =0x20000801
    ldr   r1, =0x12345678
    str   r1, [r0]
    str   r1, [r0, #5]
    ldr   r2, [r0, #2]
    strh  r1, [r0, #10]
    ldrh  r3, [r0, #10]
    ldrsh r4, [r0, #-1]
    ldr   r5, =0x20000ffd
    str   r1, [r5]
    ldr   r6, [r5, #1]
    ldrh  r7, [r5, #2]
    ldr   r7, [r5], #2
    str   r7, [r5], #2
    bx    lr
    .ltorg
