@ VLDR, VSTR, VLDM, VSTM, VPUSH, VPOP.
    ldr   r0, =0x20000900
    vmov.f32 s0, #1.5
    vmov.f32 s1, #2.0
    vstr  s0, [r0]
    vstr  s1, [r0, #4]
    mov   r1, r0
    vldmia r1!, {s2-s3}
    vadd.f32 s4, s2, s3
    vstmia r1!, {s2-s4}
    vstmdb r1!, {s4}
    vpush {s0-s3}
    vpush {d1}
    vldr  d4, [r0]
    vstr  d4, [r0, #32]
    vpop  {d1}
    vpop  {s8-s11}
    vldmia r0, {d4-d6}
    cmp   r0, r1
    itt   ne
    vldrne s5, [r0, #4]
    vstrne s5, [r0, #40]
    vldr  s6, 1f
    bx    lr
    .balign 4
1:  .float 3.25
    .ltorg
