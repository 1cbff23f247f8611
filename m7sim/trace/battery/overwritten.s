@ Code in SRAM that is run, overwritten by code of the same size, run, and put back.
    push  {r4, r5, r6, lr}
    ldr   r4, =0x20000c00
    orr   r5, r4, #1
    movs  r6, #2
1:  ldr   r0, =10f
    bl    5f
    ldr   r0, =0x20000d00
    blx   r5
    blx   r5
    ldr   r0, =20f
    bl    5f
    ldr   r0, =0x20000d00
    blx   r5
    subs  r6, #1
    bne   1b
    pop   {r4, r5, r6, pc}
5:  ldrd  r1, r2, [r0]
    strd  r1, r2, [r4]
    bx    lr
    .balign 4
10: str   r6, [r0, #4]
    ldr   r1, [r0, #8]
    ldr   r1, [r0]
    bx    lr
20: ldr   r1, [r0, #12]
    str   r6, [r0, #8]
    ldr   r0, [r0]
    bx    lr
    .ltorg
