@ Predicated loads and stores, both outcomes, with bases changed under a condition, in a loop.
@ expect r7=0
@ corrupted by memory hooks
    ldr   r0, =0x20000700
    mov   r1, r0
    movs  r7, #6
1:  tst   r7, #1
    itee  eq
    ldreq r2, [r0], #4
    strne r7, [r1, #4]!
    ldrbne r3, [r0, #1]
    str   r2, [r0, #8]
    ldr   r4, [r1, #12]
    cmp   r7, #3
    itt   gt
    addgt r5, r0, #16
    ldrgt r6, [r5]
    cmp   r7, #4
    it    le
    ldmle r0, {r5, r6}
    cmp   r7, #2
    it    eq
    moveq r1, r0
    str   r7, [r1, #20]
    cmp   r7, #7
    itt   lt
    pushlt {r5}
    poplt {r5}
    subs  r7, #1
    bne   1b
    bx    lr
    .ltorg
