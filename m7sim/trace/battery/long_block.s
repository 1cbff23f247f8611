@ More straight-line code than the engine translates into one block.
@ expect r7=0 r1=600
    ldr   r0, =0x20000f00
    movs  r7, #2
1:  .rept 300
    ldr   r1, [r0, #4]
    adds  r1, #1
    str   r1, [r0, #4]
    .endr
    ldr   r2, [r0]
    subs  r7, #1
    bne.w 1b
    bx    lr
    .ltorg
