@ LDM, STM, PUSH, POP: write-back, descending, base in the list, pc in the list.
@ expect r1=1 r2=3 r3=0x20000200
    ldr   r0, =0x20000200
    movs  r1, #1
    movs  r2, #2
    movs  r3, #3
    mov   r4, r0
    stmia r4!, {r1, r2, r3}
    stmdb r4, {r1, r2}
    stmdb r4!, {r1, r2, r3}
    ldmia r4, {r5, r6}
    ldmdb.w r4, {r7, r8, r9}
    str   r0, [r0, #4]
    ldmia r0, {r0, r1, r2}
    ldmia r1, {r1, r3}
    push  {r1, r2, r3, lr}
    push  {r4}
    bl    1f
    pop   {r4}
    pop   {r1, r2, r3, pc}
1:  push  {r4, r5, r6, r7, lr}
    push.w {r8, r9}
    ldr   r0, [sp, #4]
    pop.w {r8, r9}
    pop   {r4, r5, r6, r7, pc}
    .ltorg
