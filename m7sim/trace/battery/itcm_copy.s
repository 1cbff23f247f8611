@ Code copied to ITCM at start-up and run there, with a literal of its own.
@ expect r1=2
    push  {r4, lr}
    ldr   r0, =3f
    ldr   r1, =4f
    movs  r2, #0x40
    mov   r4, r2
1:  ldr   r3, [r0], #4
    str   r3, [r2], #4
    cmp   r0, r1
    blo   1b
    orr   r4, #1
    blx   r4
    blx   r4
    pop   {r4, pc}
    .balign 4
3:  ldr   r0, 5f
    ldr   r1, [r0]
    adds  r1, #1
    str   r1, [r0]
    ldr   r2, [r0, r1, lsl #2]
    bx    lr
    .balign 4
5:  .word 0x20000b00
4:  .ltorg
