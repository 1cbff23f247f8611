@ Literal loads as bases, movw/movt addresses, adr.
@ expect r2=0xb00 r1=0x20000a40
    ldr   r0, =0x20000a00
    ldr   r1, =0x20000a40
    str   r0, [r1]
    movw  r2, #0x0a80
    movt  r2, #0x2000
    str   r1, [r2, #4]
    ldr   r3, [r2, #4]
    ldr   r3, [r3]
    ldr   r3, [r3, #8]
    adr   r4, 1f
    ldrd  r5, r6, [r4]
    ldrb  r7, [r4, #3]
    ldrd  r5, r6, 1f
    ldrb  r7, [r5, #1]
    movw  r2, #0x0b00
    bx    lr
    .balign 4
1:  .word 0x20000a10, 0x20000a20
    .ltorg
