@ IT blocks back to back, four deep, with a predicated branch and a predicated return at the end.
@ expect r1=0 r0=0x2000078c
@ corrupted by memory hooks
    push  {r4, lr}
    ldr   r0, =0x20000780
    movs  r4, #4
1:  cmp   r4, #2
    itete hi
    strhi r4, [r0]
    strls r4, [r0, #4]
    ldrhi r1, [r0, #4]
    ldrls r1, [r0]
    ittet eq
    ldreq r2, [r0, r4, lsl #2]
    streq r2, [r0, #8]!
    ldrne r2, [r0]
    addeq r0, r0, #4
    cmp   r4, #3
    it    eq
    beq   2f
    str   r1, [r0, #16]
2:  subs  r4, #1
    bpl   1b
    cmp   r4, #0
    itt   lt
    ldrlt r3, [r0]
    poplt {r4, pc}
    movs  r3, #99
    pop   {r4, pc}
    .ltorg
