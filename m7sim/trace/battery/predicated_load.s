@ A load in an IT block whose access a memory hook would watch; after it the engine, with stale IT
@ bits, would skip the two movw (unicorn issue 2309).
@ expect r0=1 r1=5 r2=9 r3=7
@ corrupted by memory hooks
    ldr   r5, =0x20000100
    movs  r6, #1
    str   r6, [r5]
    movs  r7, #2
    movs  r3, #0
    movs  r2, #0
    movs  r0, #1
    cmp   r6, r7
    itt   ne
    ldrne r0, [r5]
    cmpne r6, r0
    b     1f
    nop
1:  movw  r3, #7
    movw  r2, #9
    b     2f
    nop
2:  movw  r1, #5
    bx    lr
    .ltorg
