@ A block, and an IT block, that cross a 4 KiB page; the second part is entered in mid-IT.
@ expect r4=0 r5=0x20000e08
    ldr   r5, =0x20000e00
    ldr   r0, =1f + 1
    bx    r0
    .ltorg
    .org  0xfea
1:  movs  r4, #2
2:  ldr   r1, [r5]
    ldr.w r2, [r5, #4]
    cmp   r4, #1
    itete ne
    strne r4, [r5, #8]
    streq r4, [r5, #12]
    ldrne r6, [r5, #16]
    ldreq r6, [r5, #20]
    str   r6, [r5, #24]
    ldr   r3, [r5], #4
    subs  r4, #1
    bne   2b
    bx    lr
